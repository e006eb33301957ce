-- Versions of a tenant's map from raw scores to confidence; the newest holds. Without one, confidence is uncalibrated.
create table calibration (
    tenant         text not null references tenant,
    version        integer not null check (version >= 1),
    formula        integer not null, -- of the raw score
    reviewed_until timestamptz not null,
    curves         jsonb not null,
    measured       jsonb not null, -- reliability on reviews kept apart
    fitted_at      timestamptz not null default now(),
    primary key (tenant, version)
);
alter table calibration enable row level security;
create policy own_tenant on calibration to deskstream_app
    using (tenant = current_tenant()) with check (tenant = current_tenant());
grant select, insert on calibration to deskstream_app;

alter table tenant drop column calibrated;
