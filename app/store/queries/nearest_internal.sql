-- The internal article nearest to the question. Their chunks are few beside the public ones: each is compared.
select document_id, version, chunk, d.title, c.heading, c.text, d.url, d.locale, d.audience,
       0::double precision as score, n.similarity
from (
    select tenant, document_id, version, chunk, 1 - (embedding <=> $2) as similarity
    from embedding
    where tenant = $1 and current and dimensions = $3 and audience = 'internal' and model = $4
    order by embedding <=> $2
    limit 1
) n join document d using (tenant, document_id, version) join chunk c using (tenant, document_id, version, chunk)
