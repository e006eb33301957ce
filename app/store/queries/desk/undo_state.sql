-- Only where nothing came in between.
update ticket set state = $4, decided_at = null
where tenant = $1 and ticket_id = $2 and routed_event_id is not distinct from $3 and state = $5
