delete from console_session where tenant = $1 and user_id = $2 and token_hash is distinct from $3
