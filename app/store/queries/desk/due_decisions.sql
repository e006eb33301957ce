-- What can no longer be undone. Another relay's rows are left to it.
select id, event from decision
where relayed_at is null and undone_at is null and event is not null and at <= now() - make_interval(secs => $1)
order by at
limit $2
for update skip locked
