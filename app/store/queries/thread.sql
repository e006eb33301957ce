select
    (
        select jsonb_agg(jsonb_build_object('author', author, 'text', text) order by number)
        from (
            select number, author, left(body, $4) as text from message
            where tenant = $1 and conversation_id = $2 and at < $3
            order by number desc
            limit $5
        ) latest
    ) as before,
    (
        select count(*) from message
        where tenant = $1 and conversation_id = $2 and at < $3 and author <> 'customer'
    ) as replies,
    ( -- a reply of ours is none of a person's: it answers an earlier message
        select author from message
        where tenant = $1 and conversation_id = $2 and at > $3
          and (author = 'customer' or author = 'agent' and reply_id is null)
        order by number
        limit 1
    ) as newer_author
