-- Version $3, or the one that was valid at $4, or the newest.
select document_id, version, title, locale, audience, url, collection, imported_at, withdrawn_at,
       (select max(version) from document where tenant = $1 and document_id = $2) as versions
from document
where tenant = $1 and document_id = $2 and ($3::integer is null or version = $3)
  and ($4::timestamptz is null or (imported_at <= $4 and (withdrawn_at is null or withdrawn_at > $4)))
order by version desc
limit 1
