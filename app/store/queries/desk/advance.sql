-- Gives nothing where another projector has moved it on. $4 null: it was not there.
insert into projection_offset as known (projection, topic_id, partition, next_offset)
values ($1, $2, $3, $5)
on conflict (projection, topic_id, partition) do update set next_offset = $5 where known.next_offset = $4
returning true
