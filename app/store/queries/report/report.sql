-- Tickets whose first message came in from $2 until $3; $4: now; $5: days within which a ticket that comes back was not
-- resolved. ``app/desk/recount.py`` says the same of the events, in code of its own.
with own as (
    select ticket_id from routing
    where tenant = $1
    group by ticket_id
    having min(accepted_at) >= $2 and min(accepted_at) < $3
),
sent as (
    select distinct on (o.ticket_id) o.ticket_id, r.event_id, r.accepted_at, o.sent_at,
           o.sent_at + make_interval(days => $5) as settled_at
    from own
    join outbox o on o.tenant = $1 and o.ticket_id = own.ticket_id and o.state = 'sent' and o.decision_id is null
    join routing r on r.tenant = $1 and r.ticket_id = o.ticket_id and r.root_id = o.root_id and r.route = 'send'
    order by o.ticket_id, o.sent_at, r.event_id
),
alone as (
    select s.settled_at,
           exists (
               select from routing r
               where r.tenant = $1 and r.ticket_id = s.ticket_id and r.event_id <> s.event_id
                 and r.accepted_at > s.accepted_at and r.accepted_at <= s.settled_at
           ) or exists (
               select from review v
               where v.tenant = $1 and v.ticket_id = s.ticket_id and v.decision = 'reopened'
                 and v.decided_at <= s.settled_at
           ) as came_back
    from sent s
    where not exists (
        select from routing r
        where r.tenant = $1 and r.ticket_id = s.ticket_id and r.route in ('review', 'escalate')
          and r.routed_at <= s.sent_at
    ) and not exists (
        select from review v
        where v.tenant = $1 and v.ticket_id = s.ticket_id and v.decision in ('approved', 'edited', 'rejected')
          and v.decided_at <= s.settled_at
    )
),
-- Nobody needed the answer any more: known before it was routed, or the customer wrote again while it waited for review.
stale as (
    select distinct r.root_id
    from own join routing r on r.tenant = $1 and r.ticket_id = own.ticket_id
    where r.route = 'superseded' or r.route = 'review' and exists (
        select from routing n
        where n.tenant = $1 and n.conversation_id = r.conversation_id and n.accepted_at > r.accepted_at
    ) and not exists (
        select from review v
        where v.tenant = $1 and v.draft_event_id = r.event_id and v.decision in ('approved', 'edited', 'rejected')
    )
),
reviewed as (
    select count(*) as reviews, count(review_s) as reviews_timed,
           count(*) filter (where review_s < 60) as reviews_under_a_minute,
           percentile_cont(0.5) within group (order by review_s) as review_s_median
    from review
    where tenant = $1 and decided_at >= $2 and decided_at < $3 and decision in ('approved', 'edited', 'rejected')
),
rated as (
    select count(*) as ratings, count(*) filter (where rating >= 4) as ratings_good,
           coalesce(sum(rating), 0) as rating_sum
    from (
        select distinct on (draft_event_id) rating -- a customer may think again
        from review
        where tenant = $1 and decided_at >= $2 and decided_at < $3 and decision = 'rated'
        order by draft_event_id, decided_at desc, event_id desc
    ) last
)
select
    (select count(*) from own) as tickets,
    (select count(*) from alone where not came_back) as resolved,
    (select count(*) from alone where not came_back and settled_at > $4) as unsettled,
    (select count(*) from alone where came_back) as retracted,
    (
        select coalesce(sum(c.cost_usd), 0)
        from own
        join (select distinct ticket_id, root_id from routing where tenant = $1) r using (ticket_id)
        join ticket_call c on c.tenant = $1 and c.root_id = r.root_id
    ) as cost_usd,
    (select count(*) from stale) as stale,
    (
        select coalesce(sum(c.cost_usd), 0)
        from stale join ticket_call c on c.tenant = $1 and c.root_id = stale.root_id
    ) as stale_cost_usd,
    reviewed.*,
    rated.*
from reviewed, rated
