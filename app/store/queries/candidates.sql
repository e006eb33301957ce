-- What speaks for which document, for app/knowledge/ranking.py.
-- $1 tenant, $2 vector, $3 its length, $4 model, $5 nearest chunks, $6 query as words, $7 text search configuration,
-- $8 documents by words, $9 pairs of word and chunk, $10 nearest past tickets, $11 documents answered most often.
with near as materialized (
    {nearest}
),
alike as materialized (
    select document_ids, 1 - (question <=> $2::vector::halfvec) as similarity
    from solved
    where tenant = $1 and model = $4 and dimensions = $3
    order by question <=> $2::vector::halfvec
    limit $10
),
votes as (
    -- A neighbour 0.04 farther than the nearest has a fifth of its vote.
    select document_id,
           sum(exp(40 * (similarity - (select max(similarity) from alike))) / sqrt(cardinality(document_ids))) as score
    from alike, unnest(document_ids) as document_id
    group by document_id
),
worded as materialized (
    select document_id, version, chunk, score
    from search_words(tsvector_to_array(to_tsvector('simple', $6) || to_tsvector($7::text::regconfig, $6)),
                      $8::integer, $9::integer)
),
answered as (
    select document_id, tickets as score from solved_document where tenant = $1 order by tickets desc limit $11
)
select 'near' as kind, document_id, version, chunk, similarity::double precision as score from near
union all
select 'words', document_id, version, chunk, score from worded
union all
select 'named', document_id, version, null, d.named
from (select document_id, version from near union select document_id, version from worded) found
join document d using (document_id, version)
where d.tenant = $1 and d.named > 0
union all
select kind, document_id, d.version, null, score
from (select 'voted' as kind, * from votes union all select 'answered', * from answered) past
join document d using (document_id)
where d.tenant = $1 and d.withdrawn_at is null and d.audience = 'public'
union all
select 'past', '', 0, null, coalesce(sum(tickets), 0) from solved_document where tenant = $1
