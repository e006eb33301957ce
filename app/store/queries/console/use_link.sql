update sign_in_link l set used_at = now()
from console_user u
where l.tenant = $1 and l.token_hash = $2 and l.used_at is null and l.expires_at > now()
  and u.tenant = l.tenant and u.user_id = l.user_id and u.disabled_at is null
returning u.user_id, u.email, u.name, u.role, u.locale
