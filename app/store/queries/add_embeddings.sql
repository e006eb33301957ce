-- $5 vectors of model $6, beside those of other models; but of chunks that were withdrawn meanwhile.
insert into embedding (tenant, document_id, version, chunk, model, dimensions, embedding, audience)
select $1, c.document_id, c.version, c.chunk, $6, vector_dims(t.embedding), t.embedding, c.audience
from unnest($2::text[], $3::integer[], $4::integer[], $5::vector[]) as t (document_id, version, chunk, embedding)
join chunk c on c.tenant = $1 and (c.document_id, c.version, c.chunk) = (t.document_id, t.version, t.chunk)
where c.current
on conflict do nothing
