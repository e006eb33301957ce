-- How many chunks there are, and whether all of them are embedded with model $2.
select coalesce((select chunks from knowledge_size where tenant = $1), 0) as chunks,
       exists (select from embedding_model where tenant = $1 and model = $2 and dimensions = $3 and ready_at is not null)
           as is_embedded
