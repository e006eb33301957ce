delete from console_session where tenant = $1 and (token_hash = $2 or previous_hash = $2)
