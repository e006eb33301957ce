-- The draft of the ticket's newest message. What waits for a person, here or in another ticket of the conversation,
-- keeps this one from being sent.
with escalated as (
    select 1 from ticket where tenant = $1 and conversation_id = $3 and state = 'escalated' and ticket_id <> $2 limit 1
)
update ticket
set routed_event_id = $5, routed_at = $6, route = $7, language = $9, category = $10, priority = $11, stakes = $12,
    draft_body = $13, draft_model = $14, citations = $15, unanswered = $16, unfounded = $17, internal = $18,
    passages = $19, grounding = $20, signals = $21, confidence = $22,
    reasons = case when state = 'escalated' then reasons || $8::text[]
                   when $7 = 'send' and exists (select from escalated)
                   then $8::text[] || 'another ticket of this conversation waits for a person'::text
                   else $8::text[] end,
    state = case when state in ('superseded', 'taken_over') then state
                 when state = 'escalated' or $7 = 'escalate' then 'escalated'
                 when $7 = 'superseded' then 'superseded'
                 when $7 = 'send' and not exists (select from escalated) then 'sending'
                 else 'waiting' end
where tenant = $1 and ticket_id = $2 and root_id = $4 and routed_event_id is null
returning state = 'sending' as sends
