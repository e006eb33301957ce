-- A decision that was not made here, or ($13) one of ours that a restored database has forgotten. Of ours it is known
-- how to look whether its reply went out; of others nobody here can tell.
with added as (
    insert into decision (id, tenant, ticket_id, draft_event_id, decision, actor, reason, reply, words_changed,
                          material, rating, state_before, at, relayed_at)
    select $2, t.tenant, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce(k.state, ''), $12, now()
    from tenant t left join ticket k on k.tenant = t.tenant and k.ticket_id = $3
    where t.tenant = $1
    on conflict (id) do nothing
    returning *
),
shown as (
    update ticket t
    set state = case when added.decision = 'reopened' then 'escalated' when added.decision = 'rejected' then 'rejected'
                     when $13 then 'sending' else 'unknown' end,
        decided_at = added.at,
        reasons = case when $13 then t.reasons
                       else array_append(t.reasons, 'decided elsewhere: ' || added.decision) end
    from added
    where t.tenant = added.tenant and t.ticket_id = added.ticket_id and t.routed_event_id = added.draft_event_id
      and (t.state in ('waiting', 'escalated') and added.decision in ('approved', 'edited', 'rejected')
           or t.state = 'sent' and added.decision = 'reopened')
    returning t.*
)
insert into outbox (reply_id, tenant, ticket_id, conversation_id, root_id, partition, channel, body, decision_id, state,
                    caused_at, not_before, began_at)
select $14, s.tenant, s.ticket_id, s.conversation_id, s.root_id, s.partition, s.channel, added.reply, added.id,
       case when $13 then 'pending' else 'unknown' end, added.at, now(), case when $13 then added.at end
from shown s, added
where added.decision in ('approved', 'edited') and added.reply <> ''
on conflict (reply_id) do nothing
