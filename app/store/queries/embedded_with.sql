select model, dimensions, count(*) as chunks from chunk
where tenant = $1 and current
group by model, dimensions
order by chunks desc
