update sending_halt set lifted_at = now(), lifted_by = $2
where tenant = $1 and lifted_at is null
returning why
