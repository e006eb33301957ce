-- Replies that went out from $1 on, the oldest first. A ticket shows its newest message: of an older one no more is
-- known here than that its reply went out.
select o.tenant, o.reply_id::text as reply_id, o.sent_at, o.body,
       (select count(*) from outbox same where same.tenant = o.tenant and same.root_id = o.root_id
            and same.state = 'sent')::integer as times,
       d.decision, d.at as decided_at, d.reply as decided_reply, d.undone_at is not null as undone,
       case when d.id is null then t.route end as route,
       case when d.id is null then coalesce(t.stakes, '{}') else '{}' end as stakes,
       case when d.id is null then t.priority end as priority,
       case when d.id is null then t.category end as category,
       d.id is null and exists (
           select from sending_halt h
           where h.tenant = o.tenant and h.at < o.sent_at - make_interval(secs => $2)
             and coalesce(h.lifted_at > o.sent_at, true)
       ) as halted_before
from outbox o
left join decision d on d.id = o.decision_id
left join ticket t on t.tenant = o.tenant and t.ticket_id = o.ticket_id and t.root_id = o.root_id
where o.state = 'sent' and o.sent_at >= $1
order by o.sent_at
limit $3
