-- Gives who has it now.
with taken as (
    update ticket
    set lease_user = $3, lease_until = now() + make_interval(secs => $4),
        leased_at = case when lease_user = $3 and lease_until > now() then leased_at else now() end
    where tenant = $1 and ticket_id = $2
      and (lease_user = $3 or lease_until is null or lease_until <= now())
    returning lease_user
)
select lease_user from taken
union all
select lease_user from ticket where tenant = $1 and ticket_id = $2 and not exists (select from taken)
