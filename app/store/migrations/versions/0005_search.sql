-- Each word with its tenant before it: the index itself leaves out the chunks of all others.
create function tenant_words(tenant text, words tsvector) returns text[]
language sql immutable parallel safe
return array(select tenant || ' ' || word from unnest(tsvector_to_array(words)) as word);
drop index chunk_tsv;
create index chunk_words on chunk using gin (tenant_words(tenant, tsv)) where current;

-- Full-text search: the best documents, each with its best chunk. Under row-level security PostgreSQL would not use the
-- GIN index, since @> is not leakproof: so this runs as the owner, and keeps to the transaction's tenant itself.
drop function search_words;
create function search_words(words text[], documents_max integer, pairs_max integer)
returns table (document_id text, version integer, chunk integer, score double precision)
language sql stable security definer set search_path = pg_catalog, public set enable_seqscan = off
as $$
    with size as (
        select greatest(chunks, 1)::double precision as chunks from knowledge_size where tenant = current_tenant()
    ), weighed as (
        select w.word, ln(1 + greatest(size.chunks - w.chunks + 0.5, 0) / (w.chunks + 0.5)) as weight,
               sum(w.chunks) over (order by w.chunks, w.word) as reached
        from word w, size
        where w.tenant = current_tenant() and w.word = any (words)
    ), asked as materialized (
        -- The rarest words first, until they reach pairs_max chunks: a limit on the work of a long query.
        select array[current_tenant() || ' ' || word] as words, weight from weighed
        where reached <= pairs_max or reached = (select min(reached) from weighed)
        order by weight desc limit 80
    ), pairs as materialized (
        select c.document_id, c.version, c.chunk, a.words, a.weight
        from asked a join chunk c on tenant_words(c.tenant, c.tsv) @> a.words
        where c.current and c.tenant = current_tenant() and c.audience = 'public'
    ), by_word as (
        select document_id, version, weight, count(*) as chunks from pairs group by document_id, version, words, weight
    ), by_document as (
        -- The shape of BM25 over whole documents. How often a chunk has a word adds nothing that could be measured, and
        -- to look it up would double the time.
        select document_id, version, sum(weight * chunks / (chunks + 1.5)) as score from by_word
        group by document_id, version
        order by score desc, document_id limit documents_max
    ), by_chunk as (
        select p.document_id, p.version, p.chunk, d.score, sum(p.weight) as of_chunk
        from pairs p join by_document d using (document_id, version)
        group by p.document_id, p.version, p.chunk, d.score
    )
    select distinct on (document_id, version) document_id, version, chunk, score
    from by_chunk
    order by document_id, version, of_chunk desc, chunk
$$;
revoke all on function search_words from public;
grant execute on function search_words to deskstream_app;

-- Half the bytes of each number: half the index, which then stays in memory, for no measurable loss. A denser graph
-- takes longer to build, and a list of 400 then finds what took 1,000.
do $$
declare
    name text;
begin
    for name in select indexname from pg_indexes where schemaname = 'public' and indexname ~ '^embedding_[0-9]+$' loop
        execute format('drop index %I', name);
    end loop;
end
$$;
create or replace function index_embeddings(length integer) returns void
language plpgsql security definer set search_path = pg_catalog, public
as $$
begin
    if length not between 1 and 2000 then
        raise exception 'an embedding of % dimensions cannot be indexed (at most 2,000)', length;
    end if;
    if to_regclass(format('public.embedding_%s', length)) is null then
        perform pg_advisory_xact_lock(hashtext('deskstream.index_embeddings'));
        execute format(
            'create index if not exists embedding_%1$s on embedding'
            ' using hnsw ((embedding::halfvec(%1$s)) halfvec_cosine_ops) with (m = 24, ef_construction = 100)'
            ' where current and dimensions = %1$s',
            length);
    end if;
end
$$;
-- The lengths are read first: a table that is being read gets no index.
do $$
declare
    length integer;
begin
    foreach length in array array(select distinct dimensions from embedding) loop
        perform index_embeddings(length);
    end loop;
end
$$;

-- Past tickets and the articles that answered them. No text: only what a search compares.
create table solved (
    tenant       text not null references tenant,
    ticket_id    text not null,
    at           timestamptz not null,
    model        text not null,
    dimensions   integer not null,
    question     halfvec not null,
    document_ids text[] not null check (cardinality(document_ids) between 1 and 10),
    primary key (tenant, ticket_id)
);
create index solved_at on solved (tenant, at);

-- How many past tickets a document answered; of a ticket with n documents each has 1/n. Renewed after each change.
create table solved_document (
    tenant      text not null references tenant,
    document_id text not null,
    tickets     double precision not null,
    primary key (tenant, document_id)
);

alter table solved enable row level security;
create policy own_tenant on solved to deskstream_app
    using (tenant = current_tenant()) with check (tenant = current_tenant());
alter table solved_document enable row level security;
create policy own_tenant on solved_document to deskstream_app
    using (tenant = current_tenant()) with check (tenant = current_tenant());
grant select, insert, update, delete on solved, solved_document to deskstream_app;
