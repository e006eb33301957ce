insert into console_user (tenant, email, name, role) values ($1, $2, $3, $4)
on conflict (tenant, email) do nothing
returning user_id
