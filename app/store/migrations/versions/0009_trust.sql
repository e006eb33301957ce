-- Opened by a person: replies of low priority in this category and locale may be sent. No row: closed.
create table graduation (
    tenant     text not null references tenant,
    category   text not null,
    locale     text not null,
    state      text not null check (state in ('open', 'closed')),
    bound_max  double precision not null check (bound_max > 0 and bound_max < 1), -- of the rate of bad replies
    opened_by  text not null,
    opened_at  timestamptz not null,
    closed_at  timestamptz,
    closed_by  text, -- deskstream: by itself, and only reviews since then count
    closed_why text,
    primary key (tenant, category, locale)
);
create index graduation_open on graduation (tenant) where state = 'open';

-- While a row of a tenant is not lifted, nothing of it is sent without a person.
create table sending_halt (
    id        bigint primary key generated always as identity,
    tenant    text not null references tenant,
    at        timestamptz not null default now(),
    why       text not null,
    by        text not null,
    lifted_at timestamptz,
    lifted_by text
);
create unique index sending_halt_standing on sending_halt (tenant) where lifted_at is null;

-- reviews.decided, as far as trust rests on it.
create table review (
    tenant         text not null,
    event_id       text not null,
    draft_event_id text not null,
    decision       text not null,
    material       boolean, -- of an edit
    rating         smallint,
    category       text not null,
    language       text not null,
    priority       text, -- null where nobody said
    decided_at     timestamptz not null,
    primary key (tenant, event_id)
);
create index review_group on review (tenant, category, language, decided_at);
create index review_draft on review (tenant, draft_event_id);

do $$
declare
    table_name text;
begin
    foreach table_name in array array['graduation', 'sending_halt', 'review'] loop
        execute format('alter table %I enable row level security', table_name);
        execute format(
            'create policy own_tenant on %I to deskstream_app'
            ' using (tenant = current_tenant()) with check (tenant = current_tenant())', table_name);
        execute format('create policy all_tenants on %I to deskstream_runtime using (true) with check (true)',
                       table_name);
    end loop;
end
$$;

grant select, insert, update on graduation, sending_halt to deskstream_app;
grant select on review to deskstream_app;
grant select, insert, update on graduation, sending_halt to deskstream_runtime;
grant select, insert on review to deskstream_runtime;

alter table tenant drop column graduated; -- by category alone; nothing was ever sent by it
