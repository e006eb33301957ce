select reply_id from outbox where tenant = $1 and ticket_id = $2 and state = 'unknown' for update
