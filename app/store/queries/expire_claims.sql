-- $1: days kept, $2: rows at a time.
delete from claim
where claim_key = any (array(
    select claim_key from claim where claimed_at < now() - make_interval(days => $1::integer) limit $2::integer
))
returning 1
