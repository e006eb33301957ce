-- A decision that was not made here, or that a restored database has forgotten.
with added as (
    insert into decision (id, tenant, ticket_id, draft_event_id, decision, actor, reason, reply, words_changed,
                          material, rating, state_before, at, relayed_at)
    select $2, t.tenant, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce(k.state, ''), $12, now()
    from tenant t left join ticket k on k.tenant = t.tenant and k.ticket_id = $3
    where t.tenant = $1
    on conflict (id) do nothing
    returning tenant, ticket_id, draft_event_id, decision
)
-- Whether its reply went out nobody here can tell.
update ticket t
set state = case added.decision when 'rejected' then 'rejected' else 'unknown' end,
    reasons = array_append(t.reasons, 'decided elsewhere: ' || added.decision)
from added
where t.tenant = added.tenant and t.ticket_id = added.ticket_id and t.routed_event_id = added.draft_event_id
  and t.state in ('waiting', 'escalated') and added.decision in ('approved', 'edited', 'rejected')
