select heading, text from chunk where tenant = $1 and document_id = $2 and version = $3 order by chunk
