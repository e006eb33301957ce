-- Claims each event for its place, and says what was there before.
with asked as materialized (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::text[])
        as t (claim_key, tenant, topic_id, partition, "offset", digest)
),
claimed as (
    insert into claim (claim_key, tenant, topic_id, partition, "offset", digest)
    select * from asked
    order by claim_key -- every statement locks in this order: no deadlock
    on conflict (claim_key) do nothing
    returning claim_key
)
select claim_key, 'new' as outcome from claimed
union all
select q.claim_key,
       case when (c.topic_id, c.partition, c."offset") = (q.topic_id, q.partition, q."offset") then 'same'
            when c.digest = q.digest then 'repeat'
            else 'conflict' end
from asked q join claim c using (claim_key)
