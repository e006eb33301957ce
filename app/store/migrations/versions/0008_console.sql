create table console_user (
    tenant        text not null references tenant,
    user_id       uuid not null default gen_random_uuid(),
    email         text not null check (email = lower(email)),
    name          text not null,
    role          text not null check (role in ('admin', 'reviewer', 'viewer')),
    password_hash text, -- argon2id; null: signs in by a link or by the company's identity provider
    locale        text,
    created_at    timestamptz not null default now(),
    disabled_at   timestamptz,
    primary key (tenant, user_id),
    unique (tenant, email)
);

-- Only digests of tokens are kept: who reads this table can't sign in with it.
create table console_session (
    tenant        text not null,
    token_hash    bytea not null,
    previous_hash bytea, -- requests that were under way when the token changed still carry it
    user_id       uuid not null,
    csrf          text not null,
    created_at    timestamptz not null default now(),
    rotated_at    timestamptz not null default now(),
    expires_at    timestamptz not null,
    primary key (tenant, token_hash),
    foreign key (tenant, user_id) references console_user on delete cascade
);
create index console_session_previous on console_session (tenant, previous_hash);
create index console_session_expires_at on console_session (tenant, expires_at);

create table sign_in_link (
    tenant     text not null,
    token_hash bytea not null,
    user_id    uuid not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    primary key (tenant, token_hash),
    foreign key (tenant, user_id) references console_user on delete cascade
);

-- Failed ones, for a quarter of an hour.
create table login_attempt (
    tenant  text not null references tenant,
    account bytea not null, -- digest of what was typed: it may be a password in the wrong field
    at      timestamptz not null default now()
);
create index login_attempt_account on login_attempt (tenant, account, at);
create index login_attempt_at on login_attempt (tenant, at);

create table api_token (
    tenant       text not null references tenant,
    token_id     uuid not null default gen_random_uuid(),
    token_hash   bytea not null,
    name         text not null,
    scopes       text[] not null,
    created_by   text not null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    primary key (tenant, token_id),
    unique (tenant, token_hash)
);

do $$
declare
    table_name text;
begin
    foreach table_name in array
        array['console_user', 'console_session', 'sign_in_link', 'login_attempt', 'api_token']
    loop
        execute format('alter table %I enable row level security', table_name);
        execute format(
            'create policy own_tenant on %I to deskstream_app'
            ' using (tenant = current_tenant()) with check (tenant = current_tenant())', table_name);
    end loop;
end
$$;
grant select, insert, update on console_user, api_token to deskstream_app;
grant select, insert, update, delete on console_session, sign_in_link, login_attempt to deskstream_app;
