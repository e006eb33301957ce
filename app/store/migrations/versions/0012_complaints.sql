alter table routing
    add column conversation_id text, -- these three: null where nobody knows any more
    add column category text,
    add column language text,
    add column complains boolean not null default false;

update routing r set conversation_id = t.conversation_id
from ticket t where t.tenant = r.tenant and t.ticket_id = r.ticket_id;

update routing r set category = t.category, language = t.language
from ticket t where t.tenant = r.tenant and t.root_id = r.root_id and t.routed_event_id = r.event_id;

create index routing_root_id on routing (tenant, root_id);
create index routing_conversation on routing (tenant, conversation_id, accepted_at);
create index routing_complains on routing (tenant) where complains;
create index outbox_conversation on outbox (tenant, conversation_id, sent_at) where state = 'sent';
create index outbox_sent on outbox (tenant, sent_at) where state = 'sent';
