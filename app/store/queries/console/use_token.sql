-- The moment of use to the minute: a busy machine does not write on every request.
with used as (
    update api_token set last_used_at = now()
    where tenant = $1 and token_hash = $2 and revoked_at is null and expires_at > now()
      and (last_used_at is null or last_used_at < now() - interval '1 minute')
)
select name, scopes from api_token
where tenant = $1 and token_hash = $2 and revoked_at is null and expires_at > now()
