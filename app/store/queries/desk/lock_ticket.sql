select *, lease_until > now() as is_leased, now() as now,
       (select count(*) from decision d
        where d.tenant = t.tenant and d.ticket_id = t.ticket_id
          and d.draft_event_id = coalesce(t.routed_event_id, '')) as decisions
from ticket t
where tenant = $1 and ticket_id = $2
for update of t
