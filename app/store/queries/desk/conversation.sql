-- The newest $3 messages.
select * from (
    select number, ticket_id, author, reply_id is not null as sent_here, body, at from message
    where tenant = $1 and conversation_id = $2
    order by number desc
    limit $3
) newest
order by number
