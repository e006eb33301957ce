select token_id, name, scopes, created_by, created_at, expires_at, last_used_at, revoked_at from api_token
where tenant = $1 order by created_at desc limit $2
