-- For reports.
insert into routing (tenant, event_id, root_id, ticket_id, route, accepted_at, routed_at)
select $1, $2, $3, $4, $5, $6, $7 from tenant where tenant = $1
on conflict do nothing
