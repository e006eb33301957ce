-- Urgent ones first, then the oldest; $7 to $9 is the last row of the page before. $6: what is looked for.
select ticket_id, conversation_id, subject, left(customer_text, 200) as beginning, requester, language, category,
       priority, stakes, route, state, confidence, cost_usd, accepted_at, rank,
       case when lease_until > now() then lease_user end as lease_user
from ticket
where tenant = $1
  and state = any ($2::text[])
  and ($3::text is null or category = $3)
  and ($4::text is null or language = $4)
  and ($5::text is null or priority = $5)
  and ($6::text is null
       or ticket_id = any (array(select find_open($6::tsquery, $2, $3, $4, $5, $7, $8, $9, $10::integer))))
  and ($7::smallint is null or (rank, accepted_at, ticket_id) > ($7, $8::timestamptz, $9::text))
order by rank, accepted_at, ticket_id
limit $10
