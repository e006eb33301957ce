select reply_id, state, body, decision_id, attempts, remote_id, last_error, not_before, created_at, sent_at
from outbox
where tenant = $1 and ticket_id = $2
order by created_at desc
limit $3
