insert into sign_in_link (tenant, token_hash, user_id, expires_at) values ($1, $2, $3, now() + $4)
