-- Reciprocal rank fusion of the nearest vectors and the best words.
-- $1 tenant, $2 vector, $3 its length, $4 model, $5 candidates of each kind, $6 query as words, $7 text search
-- configuration, $8 rank constant, $9 chunks of one document at most, $10 passages.
with near as materialized (
    {nearest}
),
words as materialized (
    select * from search_words(
        tsvector_to_array(to_tsvector('simple', $6) || to_tsvector($7::text::regconfig, $6)), $5::integer)
),
ranked as (
    select document_id, version, chunk, similarity, row_number() over (order by similarity desc) as place from near
    union all
    select document_id, version, chunk, null, row_number() over (order by score desc) from words
),
fused as (
    select document_id, version, chunk, max(similarity) as similarity,
           sum(1.0 / ($8::integer + place))::double precision as score
    from ranked
    group by document_id, version, chunk
),
spread as (
    select *, row_number() over (partition by document_id order by score desc, chunk) as of_document from fused
)
select document_id, version, chunk, d.title, c.heading, c.text, d.url, d.locale, s.score, s.similarity
from spread s join document d using (document_id, version) join chunk c using (document_id, version, chunk)
where d.tenant = $1 and c.tenant = $1 and s.of_document <= $9
order by s.score desc, document_id, chunk
limit $10
