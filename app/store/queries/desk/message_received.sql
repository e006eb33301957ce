-- A customer's message: the ticket begins, or begins again. What waits in the conversation's other tickets is answered
-- with this one; what waits for a person stays.
with arrived as (
    insert into message (tenant, conversation_id, ticket_id, event_id, author, body, at)
    select tenant, $2, $3, $4, 'customer', $5, $6 from tenant where tenant = $1
    on conflict (tenant, event_id) do nothing
    returning tenant
),
found as (
    insert into ticket_term (tenant, ticket_id, terms) select tenant, $3, as_terms(tenant, $11) from arrived
    on conflict (tenant, ticket_id) do update set terms = excluded.terms
),
superseded as (
    update ticket t set state = 'superseded', superseded_by = $3, lease_user = null, lease_until = null
    from arrived
    where t.tenant = arrived.tenant and t.conversation_id = $2 and t.ticket_id <> $3
      and t.state in ('working', 'waiting')
)
insert into ticket as known (tenant, ticket_id, conversation_id, root_id, source, partition, channel, subject,
                             customer_text, accepted_at)
select tenant, $3, $2, $4, $7, $8, $9, $10, $5, $6 from arrived
on conflict (tenant, ticket_id) do update
set conversation_id = excluded.conversation_id, root_id = excluded.root_id, source = excluded.source,
    partition = excluded.partition, channel = excluded.channel, subject = excluded.subject,
    customer_text = excluded.customer_text, accepted_at = excluded.accepted_at,
    state = case when known.state = 'escalated' then 'escalated' else 'working' end,
    superseded_by = null, routed_event_id = null, routed_at = null, route = null, draft_body = '', draft_model = '',
    citations = '{}', unanswered = '{}', unfounded = '{}', internal = '{}', passages = '[]', grounding = null,
    signals = null, confidence = null, decided_at = null,
    reasons = case when known.state = 'escalated' then known.reasons else '{}' end
