create table embedding (
    tenant      text not null,
    document_id text not null,
    version     integer not null,
    chunk       integer not null,
    model       text not null,
    dimensions  integer not null,
    embedding   vector not null,
    audience    text not null, -- its document's
    current     boolean not null default true, -- its document's version is not withdrawn
    primary key (tenant, model, dimensions, document_id, version, chunk),
    foreign key (tenant, document_id, version, chunk) references chunk
);
create index embedding_document on embedding (tenant, document_id, version);
create index embedding_internal on embedding (tenant, model, dimensions) where current and audience = 'internal';

-- The models that a tenant's chunks are embedded with. A search uses those vectors only once all of them are there.
create table embedding_model (
    tenant     text not null references tenant,
    model      text not null,
    dimensions integer not null,
    begun_at   timestamptz not null default now(),
    ready_at   timestamptz,
    primary key (tenant, model, dimensions)
);

insert into embedding (tenant, document_id, version, chunk, model, dimensions, embedding, audience, current)
select tenant, document_id, version, chunk, model, dimensions, embedding, audience, current from chunk;

-- Where an import with another model was broken off, most chunks have the one that was searched with.
insert into embedding_model (tenant, model, dimensions, ready_at)
select distinct on (tenant) tenant, model, dimensions, now()
from (select tenant, model, dimensions, count(*) as chunks from chunk where current group by 1, 2, 3) counted
order by tenant, chunks desc;

alter table chunk drop column embedding, drop column dimensions, drop column model; -- and their indexes

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
            ' using hnsw ((embedding::vector(%1$s)) vector_cosine_ops) where current and dimensions = %1$s',
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

alter table embedding enable row level security;
create policy own_tenant on embedding to deskstream_app
    using (tenant = current_tenant()) with check (tenant = current_tenant());
alter table embedding_model enable row level security;
create policy own_tenant on embedding_model to deskstream_app
    using (tenant = current_tenant()) with check (tenant = current_tenant());
grant select, insert, update, delete on embedding, embedding_model to deskstream_app;
