select coalesce(max(chunks), 0) as chunks from knowledge_size where tenant = $1
