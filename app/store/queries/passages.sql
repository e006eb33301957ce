-- $1 tenant, $2 vector, $3 its length, $4 model; of the passages, best first: $5 documents, $6 versions, $7 chunks,
-- $8 scores. Without a chunk, the document's nearest.
select d.document_id, d.version, c.chunk, d.title, c.heading, c.text, d.url, d.locale, w.score, e.similarity
from unnest($5::text[], $6::integer[], $7::integer[], $8::double precision[]) with ordinality
    as w (document_id, version, chunk, score, place)
join document d on d.tenant = $1 and d.document_id = w.document_id and d.version = w.version
left join lateral (
    select chunk, 1 - (embedding <=> $2) as similarity
    from embedding e
    where e.tenant = $1 and e.model = $4 and e.dimensions = $3 and e.document_id = w.document_id
      and e.version = w.version and e.chunk = coalesce(w.chunk, e.chunk)
    order by embedding <=> $2
    limit 1
) e on true
join chunk c on c.tenant = $1 and c.document_id = w.document_id and c.version = w.version
    and c.chunk = coalesce(e.chunk, w.chunk, 0)
order by w.place
