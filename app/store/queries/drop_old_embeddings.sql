-- Vectors of models begun before the newest one was ready, once that is longer ago than $4; $2 and $3 name the one in use.
with newest as (
    select ready_at from embedding_model
    where tenant = $1 and ready_at < now() - $4::interval
    order by ready_at desc limit 1
), gone as (
    delete from embedding_model m using newest n
    where m.tenant = $1 and (m.model, m.dimensions) <> ($2, $3::integer) and m.begun_at < n.ready_at
      and m.ready_at is distinct from n.ready_at
    returning m.model, m.dimensions
)
delete from embedding e using gone g where e.tenant = $1 and (e.model, e.dimensions) = (g.model, g.dimensions)
