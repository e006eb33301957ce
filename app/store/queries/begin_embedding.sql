-- A tenant's first model is searched with from the start, another once everything is embedded with it.
insert into embedding_model (tenant, model, dimensions, ready_at)
select $1, $2, $3,
       case when not exists (select from embedding_model where tenant = $1 and ready_at is not null) then now() end
on conflict do nothing
