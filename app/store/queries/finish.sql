-- Records what each call used and keeps its answer, where the key has none yet.
with given as materialized (
    select * from unnest(
        $1::uuid[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::numeric[],
        $9::boolean[], $10::double precision[]
    ) as t (call_id, answer, outcome, input_tokens, cached_tokens, cache_write_tokens, output_tokens, cost_usd,
            price_known, latency_s)
),
locked as materialized (
    select c.call_key from call c
    where c.call_key in (select a.call_key from call_attempt a join given using (call_id))
    order by c.call_key -- as begin does
    for update
),
recorded as (
    -- unconfirmed: another worker took the call over, and now its answer has come after all.
    update call_attempt a
    set outcome = g.outcome, input_tokens = g.input_tokens, cached_tokens = g.cached_tokens,
        cache_write_tokens = g.cache_write_tokens, output_tokens = g.output_tokens, cost_usd = g.cost_usd,
        price_known = g.price_known, latency_s = g.latency_s, finished_at = now(), error = null
    from given g, locked l
    where a.call_id = g.call_id and a.call_key = l.call_key and a.outcome in ('in_flight', 'unconfirmed')
    returning a.*
),
kept as (
    update call c
    set state = 'done', call_id = g.call_id, answer = g.answer
    from recorded r join given g using (call_id)
    where c.call_key = r.call_key and c.state <> 'done'
)
select r.call_id, row(r.*)::call_attempt as attempt from recorded r
union all
select a.call_id, a from call_attempt a join given using (call_id)
where a.outcome in ('ok', 'malformed', 'refused')
