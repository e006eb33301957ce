insert into console_session (tenant, token_hash, user_id, csrf, expires_at) values ($1, $2, $3, $4, now() + $5)
