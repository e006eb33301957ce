update console_user
set role = coalesce($3, role),
    disabled_at = case when $4::boolean is null then disabled_at when $4 then coalesce(disabled_at, now()) end
where tenant = $1 and user_id = $2
returning email, role, disabled_at is not null as disabled
