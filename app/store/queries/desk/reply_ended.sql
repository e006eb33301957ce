-- Not sent, or nobody can tell ($3: stale, failed, unknown); the ticket is $5 then.
with ended as (
    update outbox set state = $3, last_error = $4, claimed_by = null, claimed_until = null
    where reply_id = $1 and state = 'claimed' and claimed_by = $2
    returning *
),
shown as (
    update ticket t
    set state = $5, reasons = array_append(t.reasons, $4),
        superseded_by = case when $5 = 'superseded' then (
            select m.ticket_id from message m
            where m.tenant = e.tenant and m.conversation_id = e.conversation_id and m.author = 'customer'
            order by m.number desc limit 1) end
    from ended e
    where t.tenant = e.tenant and t.ticket_id = e.ticket_id and t.root_id = e.root_id and t.state = 'sending'
)
insert into audit_log (tenant, actor, action, subject, details)
select tenant, 'sender', 'reply_' || $3, ticket_id, jsonb_build_object('reply_id', reply_id, 'why', $4::text)
from ended
