-- Of one state that nobody waits in, newest first; $7 and $8 are the last row of the page before. $6: what is looked for.
select ticket_id, conversation_id, subject, left(customer_text, 200) as beginning, requester, language, category,
       priority, stakes, route, state, confidence, cost_usd, accepted_at, rank,
       case when lease_until > now() then lease_user end as lease_user
from ticket
where tenant = $1 and state = $2
  and ($3::text is null or category = $3)
  and ($4::text is null or language = $4)
  and ($5::text is null or priority = $5)
  and ($6::text is null
       or ticket_id = any (array(select find_latest($6::tsquery, $2, $3, $4, $5, $7, $8, $9::integer))))
  and ($7::timestamptz is null or (accepted_at, ticket_id) < ($7, $8::text))
order by accepted_at desc, ticket_id desc
limit $9
