-- Each category and locale with reviews of low priority or an entry of its own: what the reviews prove, and what came
-- since it was opened. $2, $3 null: all of them.
with known as (
    select category, locale, state, bound_max, opened_by, opened_at, closed_at, closed_by, closed_why,
           case when state = 'closed' and closed_by = 'deskstream' then closed_at end as counted_from
    from graduation
    where tenant = $1 and category = coalesce($2, category) and locale = coalesce($3, locale)
),
-- The last verdict on a draft holds.
verdict as (
    select distinct on (draft_event_id)
           draft_event_id, category, language as locale, decided_at,
           decision = 'rejected' or coalesce(material, false) as is_bad
    from review
    where tenant = $1 and priority = 'low' and decision in ('approved', 'edited', 'rejected')
      and category = coalesce($2, category) and language = coalesce($3, language)
    order by draft_event_id, decided_at desc, event_id desc
),
-- A customer who complains in the conversation after a reply of ours counts against the last one before.
wrote_again as (
    select distinct on (n.event_id)
           coalesce(d.draft_event_id, r.event_id) as draft_event_id, r.category, r.language as locale,
           n.accepted_at as complained_at
    from routing n
    join outbox o on o.tenant = n.tenant and o.conversation_id = n.conversation_id and o.state = 'sent'
                     and o.sent_at < n.accepted_at
    join routing r on r.tenant = o.tenant and r.root_id = o.root_id and r.ticket_id = o.ticket_id
    left join decision d on d.id = o.decision_id
    where n.tenant = $1 and n.complains
    order by n.event_id, o.sent_at desc, r.routed_at
),
complaint as (
    select draft_event_id, category, locale, min(complained_at) as complained_at
    from (
        select draft_event_id, category, language as locale, decided_at as complained_at
        from review
        where tenant = $1 and (decision = 'reopened' or rating <= $4)
        union all
        select * from wrote_again
    ) either
    where category = coalesce($2, category) and locale = coalesce($3, locale)
    group by draft_event_id, category, locale
),
proven as (
    select v.category, v.locale, count(*) as reviewed,
           count(*) filter (where not v.is_bad and c.draft_event_id is null) as clean
    from verdict v
    left join known k using (category, locale)
    left join complaint c using (draft_event_id)
    where v.decided_at > coalesce(k.counted_from, '-infinity')
    group by v.category, v.locale
),
since_verdicts as (
    select k.category, k.locale, count(v.draft_event_id) as reviewed, count(*) filter (where v.is_bad) as bad
    from known k
    join verdict v using (category, locale)
    where k.state = 'open' and v.decided_at > k.opened_at
    group by k.category, k.locale
),
since_complaints as (
    select k.category, k.locale, count(*) as complaints
    from known k
    join complaint c using (category, locale)
    left join verdict v on v.draft_event_id = c.draft_event_id and v.is_bad
    where k.state = 'open' and c.complained_at > k.opened_at and v.draft_event_id is null
    group by k.category, k.locale
),
since_sent as (
    select k.category, k.locale, count(distinct o.reply_id) as sent
    from known k
    join routing r on r.tenant = $1 and r.category = k.category and r.language = k.locale and r.route = 'send'
    join outbox o on o.tenant = $1 and o.ticket_id = r.ticket_id and o.root_id = r.root_id
    where k.state = 'open' and o.decision_id is null and o.state = 'sent' and o.sent_at > k.opened_at
    group by k.category, k.locale
)
select category, locale, coalesce(k.state, 'closed') as state, k.bound_max, k.opened_by, k.opened_at, k.closed_at,
       k.closed_by, k.closed_why,
       coalesce(p.reviewed, 0) as reviewed, coalesce(p.clean, 0) as clean,
       coalesce(sv.reviewed, 0) as since_reviewed, coalesce(sv.bad, 0) as since_bad,
       coalesce(sc.complaints, 0) as since_complaints, coalesce(ss.sent, 0) as since_sent
from known k
full join proven p using (category, locale)
left join since_verdicts sv using (category, locale)
left join since_complaints sc using (category, locale)
left join since_sent ss using (category, locale)
order by category, locale
