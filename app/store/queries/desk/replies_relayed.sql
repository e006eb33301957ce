update outbox set relayed_at = now() where reply_id = any ($1)
