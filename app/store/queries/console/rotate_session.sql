update console_session set token_hash = $3, previous_hash = $2, rotated_at = now(), expires_at = now() + $4
where tenant = $1 and token_hash = $2
returning true
