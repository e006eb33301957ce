with counted as materialized (
    select document_id, sum(1.0 / cardinality(document_ids))::double precision as tickets
    from solved, unnest(document_ids) as document_id
    where tenant = $1
    group by document_id
),
gone as (
    delete from solved_document d
    where d.tenant = $1 and not exists (select from counted c where c.document_id = d.document_id)
)
insert into solved_document as d (tenant, document_id, tickets)
select $1, document_id, tickets from counted
on conflict (tenant, document_id) do update set tickets = excluded.tickets where d.tickets <> excluded.tickets
