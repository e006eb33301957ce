-- Of what ticket $2 cites: what has another version now than the one that was read, or none.
select c.document_id
from ticket t
cross join unnest(t.citations) c (document_id)
where t.tenant = $1 and t.ticket_id = $2
  and exists (
      select from jsonb_array_elements(t.passages) p where p ->> 'document_id' = c.document_id
        and not exists (
            select from document d
            where d.tenant = t.tenant and d.document_id = c.document_id and d.version = (p ->> 'version')::integer
              and d.withdrawn_at is null))
