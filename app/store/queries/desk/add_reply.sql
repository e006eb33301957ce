-- The reply to what ticket $2 says now. $6: seconds until it may go.
insert into outbox (reply_id, tenant, ticket_id, conversation_id, root_id, partition, channel, body, decision_id,
                    caused_at, not_before)
select $3, tenant, ticket_id, conversation_id, root_id, partition, channel, $4, $5, $7,
       now() + make_interval(secs => $6)
from ticket
where tenant = $1 and ticket_id = $2
on conflict (reply_id) do nothing
