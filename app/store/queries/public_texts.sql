select document_id, d.title || E'\n' || string_agg(c.heading || E'\n' || c.text, E'\n' order by c.chunk) as text
from document d join chunk c using (document_id, version)
where d.tenant = $1 and c.tenant = $1 and d.withdrawn_at is null and d.audience = 'public'
group by document_id, d.title
