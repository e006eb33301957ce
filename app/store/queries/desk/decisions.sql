select id, decision, actor, reason, reply, words_changed, material, at, undone_at
from decision
where tenant = $1 and ticket_id = $2
order by at desc
limit $3
