create extension if not exists vector;

-- Roles belong to the whole server: another database's migration may be making them at this moment.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['deskstream_app', 'deskstream_runtime'] loop
        begin
            if not exists (select from pg_roles where rolname = role_name) then
                execute format('create role %I nologin', role_name);
            end if;
        exception when duplicate_object or unique_violation then null;
        end;
        begin
            if not pg_has_role(current_user, role_name, 'member') then
                execute format('grant %I to %I', role_name, current_user);
            end if;
        exception when unique_violation then null;
        end;
    end loop;
end
$$;

-- The tenant on whose behalf a transaction runs. Unset, or left over from another transaction (''): nobody.
create function current_tenant() returns text
language sql stable parallel safe
return nullif(current_setting('deskstream.tenant', true), '');

create table tenant (
    tenant         text primary key check (tenant ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name           text not null,
    mode           text not null default 'draft' check (mode in ('draft', 'auto')),
    graduated      text[] not null default '{}',
    confidence_min double precision not null default 0.9 check (confidence_min between 0 and 1),
    calibrated     boolean not null default false,
    created_at     timestamptz not null default now()
);

-- Knowledge base ------------------------------------------------------------------------------------------------------

-- A version is never changed: an answer given on an old one can be looked up as it was.
create table document (
    tenant       text not null references tenant,
    document_id  text not null,
    version      integer not null check (version >= 1),
    title        text not null,
    locale       text,
    audience     text not null default 'public' check (audience in ('public', 'internal')),
    url          text,
    digest       bytea not null,
    collection   text not null,
    imported_at  timestamptz not null default now(),
    withdrawn_at timestamptz,
    primary key (tenant, document_id, version)
);
create unique index document_current on document (tenant, document_id) where withdrawn_at is null;

create table chunk (
    tenant      text not null,
    document_id text not null,
    version     integer not null,
    chunk       integer not null check (chunk >= 0),
    heading     text not null,
    text        text not null,
    tsv         tsvector not null,
    embedding   vector not null,
    dimensions  integer not null,
    model       text not null,
    audience    text not null, -- its document's
    current     boolean not null default true, -- its document's version is not withdrawn
    primary key (tenant, document_id, version, chunk),
    foreign key (tenant, document_id, version) references document
);
create index chunk_tsv on chunk using gin (tsv) where current;

-- In how many chunks a word stands: its weight in a search. Renewed after each import.
create table word (
    tenant text not null references tenant,
    word   text not null,
    chunks integer not null,
    primary key (tenant, word)
);
create table knowledge_size (
    tenant text primary key references tenant,
    chunks integer not null
);

-- An HNSW index needs vectors of one length. Importing calls this, and may not create indexes itself.
create function index_embeddings(length integer) returns void
language plpgsql security definer set search_path = pg_catalog, public
as $$
begin
    if length not between 1 and 2000 then
        raise exception 'an embedding of % dimensions cannot be indexed (at most 2,000)', length;
    end if;
    if to_regclass(format('public.chunk_embedding_%s', length)) is null then
        perform pg_advisory_xact_lock(hashtext('deskstream.index_embeddings'));
        execute format(
            'create index if not exists chunk_embedding_%1$s on chunk'
            ' using hnsw ((embedding::vector(%1$s)) vector_cosine_ops) where current and dimensions = %1$s',
            length);
    end if;
end
$$;

-- Full-text search. Under row-level security PostgreSQL would not use the GIN index, since @@ is not leakproof: so this
-- runs as the owner, and keeps to the transaction's tenant itself.
create function search_words(words text[], chunks_max integer)
returns table (document_id text, version integer, chunk integer, score double precision)
language sql stable security definer set search_path = pg_catalog, public
as $$
    with size as (
        select greatest(chunks, 1)::double precision as chunks from knowledge_size where tenant = current_tenant()
    ), weighed as (
        select w.word, ln(1 + greatest(size.chunks - w.chunks + 0.5, 0) / (w.chunks + 0.5)) as weight,
               sum(w.chunks) over (order by w.chunks, w.word) as reached
        from word w, size
        where w.tenant = current_tenant() and w.word = any (words)
    ), asked as materialized (
        -- The rarest words first, until they reach 4,000 chunks: a limit on the work of a long query.
        select ('''' || replace(replace(word, '\', '\\'), '''', '''''') || '''')::tsquery as word, weight from weighed
        where reached <= 4000 or reached = (select min(reached) from weighed)
        order by weight desc limit 40
    ), found as materialized (
        select c.document_id, c.version, c.chunk, c.tsv from chunk c
        where c.current and c.tenant = current_tenant()
          and c.audience = 'public'
          and c.tsv @@ (select string_agg('(' || word::text || ')', '|')::tsquery from asked)
    )
    -- ts_rank of one word rises with its count ever more slowly, and higher in a title: the shape of BM25.
    select document_id, version, chunk,
           (select sum(weight * ts_rank('{0.4, 0.4, 0.6, 1.0}', tsv, word)) from asked) as score
    from found
    order by score desc, document_id, chunk
    limit chunks_max
$$;

-- Journal and ledger --------------------------------------------------------------------------------------------------

create table worker (
    worker_id    uuid primary key,
    heartbeat_at timestamptz not null default now()
);

-- One row for each key. call_key is a digest of the six columns after it.
create table call (
    call_key    uuid primary key,
    tenant      text not null,
    stage       text not null,
    event_id    text not null,
    replay      integer not null,
    question    integer not null,
    attempt     integer not null,
    state       text not null check (state in ('in_flight', 'lost', 'free', 'done')),
    call_id     uuid not null, -- of the request in flight, or of the one whose answer is kept
    worker_id   uuid not null,
    reserved_at timestamptz not null default now(),
    deadline    timestamptz not null,
    answer      bytea,
    check ((state = 'done') = (answer is not null))
) with (fillfactor = 50); -- room to put the answer beside its row, without touching an index
create index call_deadline on call (deadline) where state = 'in_flight';
create index call_reserved_at on call using brin (reserved_at);

-- One row for each request to a provider.
create table call_attempt (
    call_id            uuid primary key,
    call_key           uuid not null,
    tenant             text not null,
    stage              text not null,
    event_id           text not null,
    replay             integer not null,
    question           integer not null,
    attempt            integer not null,
    root_id            text not null,
    operation          text not null,
    provider           text not null,
    model              text not null,
    prompt_version     text not null,
    digest             text not null,
    worker_id          uuid not null,
    outcome            text not null default 'in_flight'
        check (outcome in ('in_flight', 'ok', 'malformed', 'refused', 'unconfirmed')),
    input_tokens       bigint not null default 0,
    cached_tokens      bigint not null default 0,
    cache_write_tokens bigint not null default 0,
    output_tokens      bigint not null default 0,
    cost_usd           numeric not null default 0 check (cost_usd >= 0),
    cost_usd_max       numeric not null check (cost_usd_max >= 0),
    price_known        boolean not null default true,
    latency_s          double precision not null default 0,
    error              text,
    started_at         timestamptz not null default now(),
    finished_at        timestamptz
) with (fillfactor = 70); -- each row is changed once, soon after it was made
create index call_attempt_call_key on call_attempt (call_key);
create index call_attempt_root_id on call_attempt (root_id);
create index call_attempt_started_at on call_attempt (tenant, started_at);

-- claim_key is a digest of stage, tenant, source, event id and replay.
create table claim (
    claim_key  uuid primary key,
    tenant     text not null,
    topic_id   text not null,
    partition  integer not null,
    "offset"   bigint not null,
    digest     text not null,
    claimed_at timestamptz not null default now()
);
create index claim_claimed_at on claim using brin (claimed_at);

-- How far a table that mirrors a topic has read it; moved on in the transaction of its rows.
create table projection_offset (
    projection  text not null,
    topic_id    text not null,
    partition   integer not null,
    next_offset bigint not null,
    primary key (projection, topic_id, partition)
);

-- Who may see what ----------------------------------------------------------------------------------------------------

do $$
declare
    table_name text;
begin
    foreach table_name in array
        array['tenant', 'document', 'chunk', 'word', 'knowledge_size', 'call', 'call_attempt', 'claim']
    loop
        execute format('alter table %I enable row level security', table_name);
        execute format(
            'create policy own_tenant on %I to deskstream_app'
            ' using (tenant = current_tenant()) with check (tenant = current_tenant())', table_name);
    end loop;
    -- The runtime works for all tenants in one statement; it has no business in the knowledge base.
    foreach table_name in array array['tenant', 'call', 'call_attempt', 'claim'] loop
        execute format('create policy all_tenants on %I to deskstream_runtime using (true) with check (true)',
                       table_name);
    end loop;
end
$$;

revoke all on function index_embeddings, search_words from public;
grant execute on function index_embeddings, search_words to deskstream_app;
grant usage on schema public to deskstream_app, deskstream_runtime;
grant select, insert, update, delete on tenant, document, chunk, word, knowledge_size to deskstream_app;
grant select on call_attempt to deskstream_app;
grant select on tenant to deskstream_runtime;
grant select, insert, update, delete on worker, call, call_attempt, claim, projection_offset to deskstream_runtime;
