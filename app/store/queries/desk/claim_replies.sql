-- What may go, and what a sender that is gone left behind. A reply whose attempt may still land is left alone until
-- $4 seconds after it began. A person's decision is on the bus first: a database that is restored gets it from there.
update outbox
set state = 'claimed', claimed_by = $1, claimed_until = now() + make_interval(secs => $3), attempts = attempts + 1
where reply_id in (
    select reply_id from outbox o
    where ((state = 'pending' and not_before <= now()) or (state = 'claimed' and claimed_until < now()))
      and (began_at is null or began_at < now() - make_interval(secs => $4))
      and not exists (
          select from decision d where d.id = o.decision_id and d.event is not null and d.relayed_at is null)
    order by not_before
    limit $2
    for update skip locked
)
returning reply_id, tenant, ticket_id, conversation_id, channel, body, partition, attempts,
          extract(epoch from now() - caused_at)::double precision as age_s,
          extract(epoch from now() - began_at)::double precision as doubted_s
