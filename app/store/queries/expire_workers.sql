-- $1: days kept, $2: rows at a time.
delete from worker
where worker_id = any (array(
    select worker_id from worker where heartbeat_at < now() - make_interval(days => $1::integer) limit $2::integer
))
returning 1
