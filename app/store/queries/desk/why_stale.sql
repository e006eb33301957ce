-- Why reply $2 must not go now; null: nothing speaks against it.
with reply as (
    select o.*, (select number from message m where m.tenant = o.tenant and m.event_id = o.root_id) as answers
    from outbox o where o.tenant = $1 and o.reply_id = $2
)
select case
    when t.state = 'taken_over' then 'taken_over'
    when t.root_id <> r.root_id or exists (
        select from message m where m.tenant = r.tenant and m.conversation_id = r.conversation_id
          and m.author = 'customer' and m.number > r.answers) then 'newer_message'
    when exists (
        select from message m where m.tenant = r.tenant and m.conversation_id = r.conversation_id
          and m.author = 'agent' and m.reply_id is null and m.number > r.answers) then 'answered'
    when t.state is distinct from 'sending' then 'not_sending'
    when d.undone_at is not null then 'undone'
    when r.decision_id is null and n.mode <> 'auto' then 'draft_mode'
    when r.decision_id is null and exists (
        select from sending_halt h where h.tenant = r.tenant and h.lifted_at is null) then 'halted'
    when r.decision_id is null and not exists (
        select from graduation g
        where g.tenant = r.tenant and g.category = t.category and g.locale = t.language and g.state = 'open')
        then 'not_graduated'
    when r.decision_id is null and exists (
        select from ticket e where e.tenant = r.tenant and e.conversation_id = r.conversation_id
          and e.state = 'escalated') then 'escalated'
    -- What a person approved they saw as it was then.
    when r.decision_id is not null and exists (
        select from document c where c.tenant = r.tenant and c.document_id = any (t.citations)
          and (c.imported_at > r.caused_at or c.withdrawn_at > r.caused_at)) then 'article_changed'
    when r.decision_id is null and exists (
        select from jsonb_array_elements(t.passages) p
        where p ->> 'document_id' = any (t.citations) and not exists (
            select from document c
            where c.tenant = r.tenant and c.document_id = p ->> 'document_id'
              and c.version = (p ->> 'version')::integer and c.withdrawn_at is null)) then 'article_changed'
end
from reply r
join tenant n on n.tenant = r.tenant
left join ticket t on t.tenant = r.tenant and t.ticket_id = r.ticket_id
left join decision d on d.id = r.decision_id
