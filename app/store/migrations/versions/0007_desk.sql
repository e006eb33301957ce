-- The topics as people see them: one row a ticket of the help desk, as its newest message left it.
create table ticket (
    tenant          text not null references tenant,
    ticket_id       text not null,
    conversation_id text not null,
    root_id         text not null, -- event id of its newest message
    source          text not null, -- of that event
    partition       integer not null, -- of tickets.raw
    channel         text not null,
    subject         text not null,
    customer_text   text not null,
    requester       text not null default '',
    accepted_at     timestamptz not null,
    state           text not null default 'working' check (state in
        ('working', 'waiting', 'escalated', 'sending', 'sent', 'rejected', 'taken_over', 'superseded', 'dead',
         'unknown')),
    superseded_by   text, -- the ticket with the newer message
    -- From tickets.routed; empty until then.
    routed_event_id text,
    routed_at       timestamptz,
    route           text check (route in ('send', 'review', 'escalate', 'superseded')),
    reasons         text[] not null default '{}',
    language        text not null default '',
    category        text not null default '',
    priority        text not null default '',
    stakes          text[] not null default '{}',
    draft_body      text not null default '',
    draft_model     text not null default '',
    citations       text[] not null default '{}',
    unanswered      text[] not null default '{}',
    unfounded       text[] not null default '{}',
    internal        text[] not null default '{}',
    passages        jsonb not null default '[]',
    grounding       jsonb,
    signals         jsonb,
    confidence      numeric,
    -- Of all its messages, unconfirmed calls with their bound.
    cost_usd        numeric not null default 0,
    lease_user      text,
    lease_until     timestamptz,
    decided_at      timestamptz,
    -- The order of the queue.
    rank            smallint not null generated always as (
        case when state = 'escalated' or priority = 'urgent' then 0 when priority = 'high' then 1
             when priority = 'normal' then 2 else 3 end) stored,
    primary key (tenant, ticket_id)
);
create index ticket_open on ticket (tenant, rank, accepted_at, ticket_id)
    where state in ('waiting', 'escalated', 'unknown');
create index ticket_state on ticket (tenant, state, accepted_at);
create index ticket_root_id on ticket (tenant, root_id);
create index ticket_conversation on ticket (tenant, conversation_id);

-- Conversations. A customer's messages are numbered in the order of tickets.raw.
create table message (
    number          bigint primary key generated always as identity,
    tenant          text not null,
    conversation_id text not null,
    ticket_id       text not null,
    event_id        text not null, -- of its TicketReceived; for a reply of ours its reply_id
    author          text not null check (author in ('customer', 'agent', 'deskstream')),
    reply_id        uuid, -- where it was sent from here
    body            text not null,
    at              timestamptz not null,
    unique (tenant, event_id)
);
create index message_conversation on message (tenant, conversation_id, number);

-- What each call for a ticket cost, as llm.usage last told it.
create table ticket_call (
    tenant   text not null,
    call_id  text not null,
    root_id  text not null,
    cost_usd numeric not null,
    told_at  timestamptz not null,
    primary key (tenant, call_id)
);
create index ticket_call_root_id on ticket_call (tenant, root_id);

create table decision (
    id              uuid primary key,
    tenant          text not null,
    ticket_id       text not null,
    draft_event_id  text not null, -- of the TicketRouted
    decision        text not null check (decision in
        ('approved', 'edited', 'rejected', 'specialist', 'taken_over', 'reopened', 'rated')),
    actor           text not null,
    reason          text not null default '',
    reply           text not null default '',
    words_changed   double precision,
    material        boolean,
    rating          smallint check (rating between 1 and 5),
    event           jsonb, -- what goes to reviews.decided
    state_before    text not null, -- of the ticket
    at              timestamptz not null default now(),
    undone_at       timestamptz,
    relayed_at      timestamptz
);
create index decision_ticket on decision (tenant, ticket_id, at);
create index decision_unrelayed on decision (at) where relayed_at is null and undone_at is null and event is not null;

-- Replies to send. reply_id derives from the decision or the routed event that it follows from.
create table outbox (
    reply_id        uuid primary key,
    tenant          text not null,
    ticket_id       text not null,
    conversation_id text not null,
    root_id         text not null, -- the message that it answers
    partition       integer not null, -- of tickets.raw
    channel         text not null,
    body            text not null,
    decision_id     uuid references decision, -- null: sent by itself, after its routed event
    state           text not null default 'pending' check (state in
        ('pending', 'claimed', 'sent', 'unknown', 'stale', 'failed')),
    caused_at       timestamptz not null, -- when what it follows from happened
    not_before      timestamptz not null,
    attempts        integer not null default 0, -- to claim
    began_at        timestamptz, -- of the last attempt to send, whose outcome is not known while this stands
    claimed_by      uuid,
    claimed_until   timestamptz,
    remote_id       text,
    last_error      text,
    created_at      timestamptz not null default now(),
    sent_at         timestamptz
);
create index outbox_due on outbox (not_before) where state = 'pending';
create index outbox_claimed on outbox (claimed_until) where state = 'claimed';
create index outbox_ticket on outbox (tenant, ticket_id, created_at);

-- Append only: nobody may change or delete a row.
create table audit_log (
    id      bigint primary key generated always as identity,
    tenant  text not null,
    at      timestamptz not null default now(),
    actor   text not null,
    action  text not null,
    subject text not null,
    details jsonb not null default '{}'
);
create index audit_log_at on audit_log (tenant, id);

do $$
declare
    table_name text;
begin
    foreach table_name in array array['ticket', 'message', 'ticket_call', 'decision', 'outbox', 'audit_log'] loop
        execute format('alter table %I enable row level security', table_name);
        execute format(
            'create policy own_tenant on %I to deskstream_app'
            ' using (tenant = current_tenant()) with check (tenant = current_tenant())', table_name);
        execute format('create policy all_tenants on %I to deskstream_runtime using (true) with check (true)',
                       table_name);
    end loop;
end
$$;

grant select, update on ticket to deskstream_app;
grant select on ticket_call to deskstream_app;
grant select, insert, update on decision, outbox to deskstream_app;
grant select, insert on message, audit_log to deskstream_app;
grant select, insert, update on ticket, ticket_call, decision, outbox to deskstream_runtime;
grant select, insert on message, audit_log to deskstream_runtime;
