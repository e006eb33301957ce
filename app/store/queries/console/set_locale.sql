update console_user set locale = $3 where tenant = $1 and user_id = $2
