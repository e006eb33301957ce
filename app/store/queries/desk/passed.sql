select next_offset >= $4 from projection_offset where projection = $1 and topic_id = $2 and partition = $3
