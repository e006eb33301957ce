with marked as (
    update outbox
    set state = 'sent', remote_id = $3, sent_at = now(), began_at = null, claimed_by = null, claimed_until = null,
        last_error = null
    where tenant = $1 and reply_id = $2 and state <> 'sent'
    returning *
),
shown as (
    update ticket t set state = 'sent', lease_user = null, lease_until = null
    from marked m
    where t.tenant = m.tenant and t.ticket_id = m.ticket_id and t.root_id = m.root_id
      and t.state in ('sending', 'unknown')
),
said as (
    insert into message (tenant, conversation_id, ticket_id, event_id, author, reply_id, body, at)
    select tenant, conversation_id, ticket_id, reply_id::text,
           case when decision_id is null then 'deskstream' else 'agent' end, reply_id, body, now()
    from marked
    on conflict (tenant, event_id) do nothing
)
insert into audit_log (tenant, actor, action, subject, details)
select tenant, $4, 'reply_sent', ticket_id, jsonb_build_object('reply_id', reply_id, 'remote_id', $3::text) from marked
