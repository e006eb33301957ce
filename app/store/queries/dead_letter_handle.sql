insert into dead_letter_handled (partition, "offset", tenant, action)
select * from unnest($1::integer[], $2::bigint[], $3::text[], $4::text[])
on conflict (partition, "offset") do nothing
