insert into tenant (tenant, name, mode, confidence_min, mask_personal_data, rerank)
values ($1, $2, $3, $4, $5, $6)
on conflict (tenant) do nothing
returning tenant
