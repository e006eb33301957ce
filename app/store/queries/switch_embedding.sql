-- From here on, searches with this model use its vectors: none is missing.
update embedding_model set ready_at = now()
where tenant = $1 and model = $2 and dimensions = $3 and ready_at is null
  and not exists (
      select from chunk c
      where c.tenant = $1 and c.current
        and not exists (
            select from embedding e
            where e.tenant = $1 and e.model = $2 and e.dimensions = $3
              and (e.document_id, e.version, e.chunk) = (c.document_id, c.version, c.chunk)
        )
  )
returning model
