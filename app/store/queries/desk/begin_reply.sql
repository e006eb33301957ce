-- From here on it may land. Gives nothing where the claim would run out meanwhile.
update outbox set began_at = now()
where tenant = $1 and reply_id = $2 and state = 'claimed' and claimed_by = $3
  and claimed_until > now() + make_interval(secs => $4)
returning true
