-- Calls long past their deadline that nobody took over: unconfirmed, as if they had been.
with overdue as materialized (
    select call_key, call_id from call
    where state = 'in_flight' and deadline < now() - make_interval(secs => $1::double precision)
    order by call_key -- as begin does
    limit 1000
    for update skip locked
),
lost as (
    update call c set state = 'lost' from overdue o where c.call_key = o.call_key
)
update call_attempt a
set outcome = 'unconfirmed', cost_usd = a.cost_usd_max, finished_at = now(), error = 'answer lost: past its deadline'
from overdue o
where a.call_id = o.call_id and a.outcome = 'in_flight'
returning a.call_id
