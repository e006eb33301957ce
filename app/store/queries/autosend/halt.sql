insert into sending_halt (tenant, why, by)
values ($1, $2, $3)
on conflict (tenant) where lifted_at is null do nothing
returning true
