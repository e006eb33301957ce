-- $1: days kept, $2: rows at a time.
delete from call
where call_key = any (array(
    select call_key from call
    where reserved_at < now() - make_interval(days => $1::integer) and state <> 'in_flight'
    limit $2::integer
    for update skip locked
))
returning 1
