delete from login_attempt where tenant = $1 and (at < now() - $2::interval or account = $3)
