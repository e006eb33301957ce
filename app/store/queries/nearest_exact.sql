-- Every chunk of the tenant is compared. Without the cast to a length, no index fits: that is meant.
select document_id, version, chunk, 1 - (embedding <=> $2) as similarity
from embedding
where tenant = $1 and current and dimensions = $3 and audience = 'public' and model = $4
order by embedding <=> $2
limit $5
