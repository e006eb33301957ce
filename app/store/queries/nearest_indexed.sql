-- {dimensions} is a number put in by the caller: the index for vectors of that length fits no parameter.
select document_id, version, chunk, 1 - (embedding::vector({dimensions}) <=> $2) as similarity
from embedding
where tenant = $1 and current and dimensions = {dimensions} and dimensions = $3 and audience = 'public' and model = $4
order by embedding::vector({dimensions}) <=> $2
limit $5
