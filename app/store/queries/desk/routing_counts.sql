-- For graduation and reports.
insert into routing (tenant, event_id, root_id, ticket_id, route, accepted_at, routed_at, conversation_id, category,
                     language, complains)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from tenant where tenant = $1
on conflict do nothing
