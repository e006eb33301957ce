select topic_id, partition, next_offset from projection_offset where projection = $1
