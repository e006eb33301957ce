-- $2 articles that others name, $3 how many of them do.
update document d set named = coalesce(n.articles, 0)
from document o left join unnest($2::text[], $3::integer[]) as n (document_id, articles) using (document_id)
where o.tenant = $1 and o.withdrawn_at is null and o.audience = 'public'
  and (d.tenant, d.document_id, d.version) = (o.tenant, o.document_id, o.version)
  and d.named is distinct from coalesce(n.articles, 0)
