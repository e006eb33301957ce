select *, case when lease_until > now() then lease_user end as leased_to,
       exists (select from outbox o
               where o.tenant = t.tenant and o.ticket_id = t.ticket_id and o.root_id = t.root_id
                 and o.state = 'sent') as is_answered
from ticket t
where tenant = $1 and ticket_id = $2
