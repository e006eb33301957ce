select user_id, email, name, role, locale, disabled_at, password_hash from console_user
where tenant = $1 and email = $2
