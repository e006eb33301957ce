update graduation
set state = 'closed', closed_at = now(), closed_by = $4, closed_why = $5
where tenant = $1 and category = $2 and locale = $3 and state = 'open'
returning true
