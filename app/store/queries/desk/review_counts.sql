-- For graduation and reports.
insert into review (tenant, event_id, draft_event_id, decision, material, rating, category, language, priority,
                    decided_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 from tenant where tenant = $1
on conflict do nothing
