select rating, reason from decision
where tenant = $1 and draft_event_id = $2 and decision = 'rated' and undone_at is null
order by at desc
limit 1
