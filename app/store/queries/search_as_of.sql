-- Reciprocal rank fusion of vectors and words, exact, and among the versions that were valid at $10. Words weigh as they do now.
-- $1 tenant, $2 vector, $3 its length, $4 model, $5 candidates of each kind, $6 query as words, $7 text search
-- configuration, $8 rank constant, $9 passages.
with valid as materialized (
    select document_id, version, title, url, locale from document
    where tenant = $1 and audience = 'public' and imported_at <= $10 and (withdrawn_at is null or withdrawn_at > $10)
),
near as materialized (
    select document_id, version, chunk, 1 - (e.embedding <=> $2) as similarity
    from embedding e join valid using (document_id, version)
    where e.tenant = $1 and e.model = $4 and e.dimensions = $3
    order by e.embedding <=> $2
    limit $5
),
asked as materialized (
    select ('''' || replace(replace(a.word, '\', '\\'), '''', '''''') || '''')::tsquery as word,
           ln(1 + (select count(*) from chunk where tenant = $1) / (coalesce(w.chunks, 0) + 0.5)) as weight
    from unnest(tsvector_to_array(to_tsvector('simple', $6) || to_tsvector($7::text::regconfig, $6))) as a (word)
    left join word w on w.tenant = $1 and w.word = a.word
    order by weight desc
    limit 40
),
words as materialized (
    select document_id, version, chunk, sum(a.weight * ts_rank('{0.4, 0.4, 0.6, 1.0}', c.tsv, a.word)) as score
    from chunk c join valid using (document_id, version) join asked a on c.tsv @@ a.word
    where c.tenant = $1
    group by document_id, version, chunk
    order by score desc, document_id, chunk
    limit $5
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
best as (
    select distinct on (document_id) * from fused order by document_id, score desc, chunk
)
select document_id, version, chunk, v.title, c.heading, c.text, v.url, v.locale, b.score, b.similarity
from best b join valid v using (document_id, version) join chunk c using (document_id, version, chunk)
where c.tenant = $1
order by b.score desc, document_id
limit $9
