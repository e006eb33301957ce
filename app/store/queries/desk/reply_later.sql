-- Again in $4 seconds. $5: that it did not land is certain.
update outbox
set state = 'pending', not_before = now() + make_interval(secs => $4), claimed_by = null, claimed_until = null,
    last_error = $3, began_at = case when $5 then null else began_at end
where reply_id = $1 and state = 'claimed' and claimed_by = $2
