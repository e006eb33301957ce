delete from sign_in_link where tenant = $1 and expires_at < now() - interval '7 days'
