-- The requests made for one event of one stage that were or may have been charged. $1 root id (indexed), $2 tenant,
-- $3 stage, $4 event id, $5 replay.
select a as attempt from call_attempt a
where root_id = $1 and tenant = $2 and stage = $3 and event_id = $4 and replay = $5
  and outcome in ('ok', 'malformed', 'unconfirmed', 'in_flight')
order by started_at, call_id
