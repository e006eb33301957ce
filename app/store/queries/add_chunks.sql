-- $4 headings, $5 texts; $6 and $7 as words to look up: title with heading, and text; $8 their text search configuration;
-- $9 vectors, $10 their model, $11 audience.
with cut as (
    select (place - 1)::integer as chunk, heading, text, title_words, text_words, embedding
    from unnest($4::text[], $5::text[], $6::text[], $7::text[], $9::vector[]) with ordinality
        as t (heading, text, title_words, text_words, embedding, place)
), added as (
    insert into chunk (tenant, document_id, version, chunk, heading, text, tsv, audience)
    select $1, $2, $3, chunk, heading, text,
           setweight(to_tsvector('simple', title_words), 'A') || to_tsvector('simple', text_words)
               || setweight(to_tsvector($8::text::regconfig, title_words), 'A')
               || to_tsvector($8::text::regconfig, text_words),
           $11
    from cut
)
insert into embedding (tenant, document_id, version, chunk, model, dimensions, embedding, audience)
select $1, $2, $3, chunk, $10, vector_dims(embedding), embedding, $11 from cut
