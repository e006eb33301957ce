-- A person looked: $3 says whether it landed. What did not is sent again.
update outbox
set state = case when $3 then 'sent' else 'pending' end, began_at = null, not_before = now(),
    sent_at = case when $3 then now() end, last_error = null, claimed_by = null, claimed_until = null
where tenant = $1 and ticket_id = $2 and state = 'unknown'
returning reply_id
