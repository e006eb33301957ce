-- tickets.routed, one row a message, as far as reports rest on it.
create table routing (
    tenant      text not null,
    event_id    text not null,
    root_id     text not null,
    ticket_id   text not null,
    route       text not null,
    accepted_at timestamptz not null,
    routed_at   timestamptz not null,
    primary key (tenant, event_id)
);
create index routing_ticket on routing (tenant, ticket_id, accepted_at);

alter table routing enable row level security;
create policy own_tenant on routing to deskstream_app
    using (tenant = current_tenant()) with check (tenant = current_tenant());
create policy all_tenants on routing to deskstream_runtime using (true) with check (true);
grant select on routing to deskstream_app;
grant select, insert on routing to deskstream_runtime;

alter table review
    add column ticket_id text not null default '', -- not known of those from before
    add column review_s double precision; -- from when the reviewer took the ticket
create index review_ticket on review (tenant, ticket_id);
create index review_decided_at on review (tenant, decided_at);

alter table ticket add column leased_at timestamptz; -- by whom the lease has now
