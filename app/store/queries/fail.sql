-- Frees the key of each call; refused calls cost nothing, the others up to their bound.
with given as materialized (
    select * from unnest($1::uuid[], $2::text[], $3::boolean[]) as t (call_id, error, refused)
),
locked as materialized (
    select c.call_key, g.*
    from given g join call_attempt a using (call_id) join call c on c.call_key = a.call_key
    order by c.call_key -- as begin does
    for update of c
),
recorded as (
    update call_attempt a
    set outcome = case when l.refused then 'refused' else 'unconfirmed' end,
        cost_usd = case when l.refused then 0 else a.cost_usd_max end, finished_at = now(), error = l.error
    from locked l
    where a.call_id = l.call_id and a.outcome in ('in_flight', 'unconfirmed')
    returning a.call_id, a.call_key
),
freed as (
    update call c
    set state = 'free'
    from recorded r
    where c.call_key = r.call_key and c.call_id = r.call_id and c.state in ('in_flight', 'lost')
)
select call_id from recorded
