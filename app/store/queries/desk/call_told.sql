-- A call may be told again: the last one holds.
with before as (
    select cost_usd from ticket_call where tenant = $1 and call_id = $2
),
told as (
    insert into ticket_call (tenant, call_id, root_id, cost_usd, told_at)
    select tenant, $2, $3, $4, $5 from message where tenant = $1 and event_id = $3
    on conflict (tenant, call_id) do update set cost_usd = excluded.cost_usd, told_at = excluded.told_at
)
update ticket t set cost_usd = t.cost_usd + $4 - coalesce((select cost_usd from before), 0)
from message m
where m.tenant = $1 and m.event_id = $3 and t.tenant = m.tenant and t.ticket_id = m.ticket_id
