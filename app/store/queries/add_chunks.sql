-- $4 headings, $5 texts; $6 and $7 as words to look up: title with heading, and text; $8 their text search configuration.
insert into chunk
    (tenant, document_id, version, chunk, heading, text, tsv, embedding, dimensions, model, audience)
select $1, $2, $3, (place - 1)::integer, heading, text,
       setweight(to_tsvector('simple', title_words), 'A') || to_tsvector('simple', text_words)
           || setweight(to_tsvector($8::text::regconfig, title_words), 'A')
           || to_tsvector($8::text::regconfig, text_words),
       embedding, vector_dims(embedding), $10, $11
from unnest($4::text[], $5::text[], $6::text[], $7::text[], $9::vector[]) with ordinality
    as t (heading, text, title_words, text_words, embedding, place)
