select s.token_hash, s.csrf, s.token_hash = $2 as is_current, now() - s.rotated_at as age, now() - s.created_at as since,
       u.user_id, u.email, u.name, u.role, u.locale
from console_session s join console_user u using (tenant, user_id)
where s.tenant = $1 and (s.token_hash = $2 or s.previous_hash = $2) and s.expires_at > now() and u.disabled_at is null
