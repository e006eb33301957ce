update ticket set lease_user = null, lease_until = null where tenant = $1 and ticket_id = $2 and lease_user = $3
