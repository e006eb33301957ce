-- $2: ids of documents; their current versions stay, for answers that were given on them, and are found no more.
with withdrawn as (
    update document set withdrawn_at = now()
    where tenant = $1 and document_id = any ($2::text[]) and withdrawn_at is null
    returning document_id, version
), chunks as (
    update chunk c set current = false
    from withdrawn w
    where c.tenant = $1 and c.document_id = w.document_id and c.version = w.version
)
update embedding e set current = false
from withdrawn w
where e.tenant = $1 and e.document_id = w.document_id and e.version = w.version
