-- All but the newest $2.
delete from solved
where tenant = $1 and at < (select at from solved where tenant = $1 order by at desc offset $2 - 1 limit 1)
