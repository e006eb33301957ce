-- A person saw that it did not land.
update outbox set state = 'pending', began_at = null, not_before = now(), last_error = null
where tenant = $1 and reply_id = $2
