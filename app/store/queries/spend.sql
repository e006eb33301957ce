-- $1 tenant, $2 model, $3 since, $4 root ids; null: all.
select tenant, stage, model, outcome = 'unconfirmed' as unconfirmed, count(*) as calls,
       sum(input_tokens)::bigint as input_tokens, sum(cached_tokens)::bigint as cached_tokens,
       sum(cache_write_tokens)::bigint as cache_write_tokens, sum(output_tokens)::bigint as output_tokens,
       sum(cost_usd) as cost_usd, bool_and(price_known) as price_known
from call_attempt
where outcome in ('ok', 'malformed', 'unconfirmed')
  and ($1::text is null or tenant = $1)
  and ($2::text is null or model = $2)
  and ($3::timestamptz is null or started_at >= $3)
  and ($4::text[] is null or root_id = any ($4))
group by tenant, stage, model, outcome = 'unconfirmed'
order by tenant, stage, model, unconfirmed
