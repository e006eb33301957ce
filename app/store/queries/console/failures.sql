select count(*) from login_attempt where tenant = $1 and account = $2 and at > now() - $3::interval
