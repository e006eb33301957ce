-- What a ticket is found by, each term with its tenant before it: the index itself leaves out all others' tickets. Apart
-- from the ticket, whose row changes many times while these stay.
create table ticket_term (
    tenant    text not null,
    ticket_id text not null,
    terms     tsvector not null,
    primary key (tenant, ticket_id),
    foreign key (tenant, ticket_id) references ticket on delete cascade
);
alter table ticket_term alter column terms set statistics 300; -- which words are common decides on the plan

alter table ticket_term enable row level security;
create policy all_tenants on ticket_term to deskstream_runtime using (true) with check (true);
grant select, insert, update on ticket_term to deskstream_runtime;

create function as_terms(tenant text, terms text[]) returns tsvector
language sql immutable parallel safe
return array_to_tsvector(array(select distinct tenant || ' ' || term from unnest(terms) term));

-- Under row-level security PostgreSQL would not use the GIN index, since @@ is not leakproof: so these run as the owner,
-- and keep to the transaction's tenant themselves. One for each order in which people look.
create function find_open(asked tsquery, states text[], category text, language text, priority text, rank smallint,
                          accepted_at timestamptz, ticket_id text, rows_max integer)
returns setof text
language sql stable security definer set search_path = pg_catalog, public
as $$
    select t.ticket_id from ticket t join ticket_term w on w.tenant = t.tenant and w.ticket_id = t.ticket_id
    where t.tenant = current_tenant() and w.terms @@ $1 and t.state = any ($2)
      and ($3 is null or t.category = $3) and ($4 is null or t.language = $4) and ($5 is null or t.priority = $5)
      and ($6 is null or (t.rank, t.accepted_at, t.ticket_id) > ($6, $7, $8))
    order by t.rank, t.accepted_at, t.ticket_id
    limit $9
$$;
create function find_latest(asked tsquery, state text, category text, language text, priority text,
                            accepted_at timestamptz, ticket_id text, rows_max integer)
returns setof text
language sql stable security definer set search_path = pg_catalog, public
as $$
    select t.ticket_id from ticket t join ticket_term w on w.tenant = t.tenant and w.ticket_id = t.ticket_id
    where t.tenant = current_tenant() and w.terms @@ $1 and t.state = $2
      and ($3 is null or t.category = $3) and ($4 is null or t.language = $4) and ($5 is null or t.priority = $5)
      and ($6 is null or (t.accepted_at, t.ticket_id) < ($6, $7))
    order by t.accepted_at desc, t.ticket_id desc
    limit $8
$$;
revoke all on function find_open, find_latest from public;
grant execute on function find_open, find_latest to deskstream_app;
