update api_token set revoked_at = now() where tenant = $1 and token_id = $2 and revoked_at is null
returning name
