-- Those that no sender has yet.
update outbox set state = 'stale', last_error = $3 where tenant = $1 and ticket_id = $2 and state = 'pending'
returning reply_id
