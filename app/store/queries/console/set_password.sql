update console_user set password_hash = $3 where tenant = $1 and user_id = $2
