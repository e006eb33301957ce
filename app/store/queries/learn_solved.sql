-- $2 ids, $3 times, $4 vectors, $5 JSON arrays of document ids, $6 model.
insert into solved (tenant, ticket_id, at, model, dimensions, question, document_ids)
select $1, ticket_id, at, $6, vector_dims(question), question::halfvec,
       array(select jsonb_array_elements_text(document_ids::jsonb))
from unnest($2::text[], $3::timestamptz[], $4::vector[], $5::text[]) as t (ticket_id, at, question, document_ids)
on conflict (tenant, ticket_id) do update
    set at = excluded.at, model = excluded.model, dimensions = excluded.dimensions, question = excluded.question,
        document_ids = excluded.document_ids
