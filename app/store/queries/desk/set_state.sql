update ticket
set state = $3, lease_user = null, lease_until = null, decided_at = now(),
    reasons = case when $4::text is null then reasons else array_append(reasons, $4) end
where tenant = $1 and ticket_id = $2
