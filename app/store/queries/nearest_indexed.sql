-- {dimensions} is a number put in by the caller: the index for vectors of that length fits no parameter.
select document_id, version, chunk, 1 - (embedding::halfvec({dimensions}) <=> $2::vector::halfvec) as similarity
from embedding
where tenant = $1 and current and dimensions = {dimensions} and dimensions = $3 and audience = 'public' and model = $4
order by embedding::halfvec({dimensions}) <=> $2::vector::halfvec
limit $5
