with counted as materialized (
    select w.lexeme as word, count(*)::integer as chunks
    from chunk c, unnest(c.tsv) w
    where c.tenant = $1 and c.current and c.audience = 'public'
    group by w.lexeme
),
gone as (
    delete from word w where w.tenant = $1 and not exists (select from counted c where c.word = w.word)
),
sized as (
    insert into knowledge_size (tenant, chunks)
    select $1, count(*)::integer from chunk where tenant = $1 and current
    on conflict (tenant) do update set chunks = excluded.chunks
)
insert into word as w (tenant, word, chunks)
select $1, word, chunks from counted
on conflict (tenant, word) do update set chunks = excluded.chunks where w.chunks <> excluded.chunks
