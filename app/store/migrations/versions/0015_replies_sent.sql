alter table outbox add column relayed_at timestamptz; -- to replies.sent
create index outbox_unrelayed on outbox (sent_at) where state = 'sent' and relayed_at is null;
