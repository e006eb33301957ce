select count(*) from console_user where tenant = $1 and role = 'admin' and disabled_at is null
