select *, lease_until > now() as is_leased, now() as now,
       (select count(*) from decision d
        where d.tenant = t.tenant and d.ticket_id = t.ticket_id
          and d.draft_event_id = coalesce(t.routed_event_id, '')) as decisions,
       exists (select from outbox o
               where o.tenant = t.tenant and o.ticket_id = t.ticket_id and o.root_id = t.root_id
                 and o.state = 'sent') as is_answered
from ticket t
where tenant = $1 and ticket_id = $2
for update of t
