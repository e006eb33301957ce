-- A dead letter stays in its topic; this says that it was replayed or dropped, so that it is not listed again.
create table dead_letter_handled (
    partition  integer not null,
    "offset"   bigint not null,
    tenant     text not null,
    action     text not null check (action in ('replayed', 'dropped')),
    handled_at timestamptz not null default now(),
    primary key (partition, "offset")
);
grant select, insert on dead_letter_handled to deskstream_runtime;
