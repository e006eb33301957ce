select id, at, actor, action, subject, details from audit_log
where tenant = $1 and ($2::bigint is null or id < $2)
order by id desc
limit $3
