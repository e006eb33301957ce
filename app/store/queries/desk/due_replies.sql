-- What has landed and is not on the bus yet. Another relay's rows are left to it.
select o.reply_id, o.tenant, o.ticket_id, o.conversation_id, o.root_id, o.channel, o.decision_id, o.remote_id, o.sent_at,
       t.source, m.at as accepted_at
from outbox o
join ticket t on t.tenant = o.tenant and t.ticket_id = o.ticket_id
join message m on m.tenant = o.tenant and m.event_id = o.root_id
where o.state = 'sent' and o.relayed_at is null
order by o.sent_at
limit $1
for update of o skip locked
