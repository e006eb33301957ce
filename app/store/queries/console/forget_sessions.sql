delete from console_session where tenant = $1 and expires_at < now()
