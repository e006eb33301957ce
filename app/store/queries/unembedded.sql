-- What customers may find now, and model $2 has not embedded; but of documents $4.
select c.document_id, c.version, c.chunk, d.title, c.heading, c.text
from chunk c join document d using (tenant, document_id, version)
where tenant = $1 and c.current and document_id <> all ($4::text[])
  and not exists (
      select from embedding e
      where e.tenant = $1 and e.model = $2 and e.dimensions = $3
        and (e.document_id, e.version, e.chunk) = (c.document_id, c.version, c.chunk)
  )
order by c.document_id, c.version, c.chunk
