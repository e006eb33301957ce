select *, case when lease_until > now() then lease_user end as leased_to from ticket where tenant = $1 and ticket_id = $2
