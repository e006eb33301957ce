-- Within $4 seconds. Gives nothing where it is too late or not theirs.
update decision set undone_at = now()
where tenant = $1 and id = $2 and actor = $3 and undone_at is null and relayed_at is null
  and decision not in ('reopened', 'rated') and at > now() - make_interval(secs => $4)
returning ticket_id, decision, draft_event_id, state_before
