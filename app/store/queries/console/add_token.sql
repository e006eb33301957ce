insert into api_token (tenant, token_hash, name, scopes, created_by, expires_at) values ($1, $2, $3, $4, $5, now() + $6)
