update ticket set state = 'dead', reasons = array['dead-lettered: ' || $3::text]
where tenant = $1 and root_id = $2 and state = 'working'
