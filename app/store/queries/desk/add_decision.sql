insert into decision (id, tenant, ticket_id, draft_event_id, decision, actor, reason, reply, words_changed, material,
                      rating, event, state_before, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
