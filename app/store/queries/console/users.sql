select u.user_id, u.email, u.name, u.role, u.locale, u.disabled_at, u.password_hash is not null as has_password,
       (select max(rotated_at) from console_session s where s.tenant = u.tenant and s.user_id = u.user_id) as seen_at
from console_user u
where u.tenant = $1 order by u.email
limit $2
