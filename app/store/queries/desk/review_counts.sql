-- For graduation and reports.
insert into review (tenant, event_id, ticket_id, draft_event_id, decision, material, rating, category, language,
                    priority, review_s, decided_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 from tenant where tenant = $1
on conflict do nothing
