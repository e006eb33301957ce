-- Reserves each call, or says why not. Rows: kind run, stored, busy; and lost, any number for a call.
-- $17: this worker; $18: seconds without a heartbeat after which a worker counts as dead.
with asked as materialized (
    select * from unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::numeric[],
        $16::double precision[]
    ) as t (call_key, call_id, tenant, stage, event_id, replay, question, attempt,
            root_id, operation, provider, model, prompt_version, digest, cost_usd_max, timeout_s)
),
reserved as (
    insert into call as c
        (call_key, tenant, stage, event_id, replay, question, attempt, state, call_id, worker_id, deadline)
    select call_key, tenant, stage, event_id, replay, question, attempt, 'in_flight', call_id, $17::uuid,
           now() + make_interval(secs => timeout_s)
    from asked
    order by call_key -- every statement locks calls in this order, and attempts under their call: no deadlock
    on conflict (call_key) do update
    set state = 'in_flight', call_id = excluded.call_id, worker_id = excluded.worker_id,
        reserved_at = now(), deadline = excluded.deadline
    where c.state in ('free', 'lost')
       or c.state = 'in_flight' and (
            c.call_id = excluded.call_id -- this statement again, its reply having been lost
            or c.worker_id = excluded.worker_id -- its own, which it no longer holds open: it could not say so then
            or c.deadline < now()
            -- The age of the intent, because a worker that is newer than this statement's snapshot looks dead in it.
            or c.reserved_at < now() - make_interval(secs => $18::double precision)
               and not exists (select from worker w
                               where w.worker_id = c.worker_id
                                 and w.heartbeat_at > now() - make_interval(secs => $18::double precision)))
    returning c.call_key, c.call_id
),
lost_now as (
    update call_attempt a
    set outcome = 'unconfirmed', cost_usd = a.cost_usd_max, finished_at = now(), error = 'taken over: answer lost'
    from reserved r
    cross join lateral (
        select b.call_id from call_attempt b
        where b.call_key = r.call_key and b.call_id <> r.call_id and b.outcome = 'in_flight'
        offset 0 -- keeps this a look-up for each call; joined freely, it is planned as a walk over the whole index
    ) old
    where a.call_id = old.call_id and a.outcome = 'in_flight'
    returning a as attempt
),
begun as (
    insert into call_attempt
        (call_id, call_key, tenant, stage, event_id, replay, question, attempt, root_id, operation, provider, model,
         prompt_version, digest, worker_id, cost_usd_max)
    select q.call_id, q.call_key, q.tenant, q.stage, q.event_id, q.replay, q.question, q.attempt, q.root_id,
           q.operation, q.provider, q.model, q.prompt_version, q.digest, $17::uuid, q.cost_usd_max
    from asked q join reserved r using (call_key, call_id)
    on conflict (call_id) do nothing
)
select 'run' as kind, r.call_key, null::bytea as answer, null::double precision as deadline_s,
       null::call_attempt as attempt, false as taken_over
from reserved r
union all
select case c.state when 'done' then 'stored' else 'busy' end, c.call_key, c.answer,
       extract(epoch from c.deadline - now())::double precision, case c.state when 'done' then a end, false
from asked q join call c using (call_key) left join call_attempt a on a.call_id = c.call_id
where not exists (select from reserved r where r.call_key = c.call_key)
union all
select 'lost', (attempt).call_key, null, null, attempt, true
from lost_now
union all
select 'lost', q.call_key, null, null, old.attempt, old.lost
from asked q
cross join lateral (
    select a as attempt, c.state = 'lost' and a.call_id = c.call_id as lost from call_attempt a join call c using (call_key)
    where a.call_key = q.call_key and a.outcome in ('ok', 'malformed', 'unconfirmed')
      and not (c.state = 'done' and a.call_id = c.call_id)
    offset 0 -- as above
) old
