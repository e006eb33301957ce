insert into document (tenant, document_id, version, title, locale, audience, url, digest, collection)
select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8
from document where tenant = $1 and document_id = $2
returning version
