-- Records what each call used and keeps its answer, where the key has none yet. Rows: call_id; attempt, where it is
-- asked for ($11) or had ended before; late, where another worker had taken the call over.
with given as materialized (
    select * from unnest(
        $1::uuid[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::numeric[],
        $9::boolean[], $10::double precision[], $11::boolean[]
    ) as t (call_id, answer, outcome, input_tokens, cached_tokens, cache_write_tokens, output_tokens, cost_usd,
            price_known, latency_s, row_asked)
),
locked as materialized (
    select c.call_key, a.outcome = 'unconfirmed' as late, g.*
    from given g join call_attempt a using (call_id) join call c on c.call_key = a.call_key
    order by c.call_key -- as begin does
    for update of c
),
recorded as (
    -- unconfirmed: another worker took the call over, and now its answer has come after all.
    update call_attempt a
    set outcome = l.outcome, input_tokens = l.input_tokens, cached_tokens = l.cached_tokens,
        cache_write_tokens = l.cache_write_tokens, output_tokens = l.output_tokens, cost_usd = l.cost_usd,
        price_known = l.price_known, latency_s = l.latency_s, finished_at = now(), error = null
    from locked l
    where a.call_id = l.call_id and a.outcome in ('in_flight', 'unconfirmed')
    returning case when l.row_asked then a end as attempt, l.call_key, l.call_id, l.answer, l.late
),
kept as (
    update call c
    set state = 'done', call_id = r.call_id, answer = r.answer
    from recorded r
    where c.call_key = r.call_key and c.state <> 'done'
)
select call_id, attempt, late from recorded
union all
select a.call_id, a, false from given join call_attempt a using (call_id)
where a.outcome in ('ok', 'malformed', 'refused')
