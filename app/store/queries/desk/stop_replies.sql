-- Those that no sender has yet. Gives how many a sender has.
with stopped as (
    update outbox set state = 'stale', last_error = $3
    where tenant = $1 and ticket_id = $2 and state = 'pending'
)
select count(*) from outbox where tenant = $1 and ticket_id = $2 and state = 'claimed'
