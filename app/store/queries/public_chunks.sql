select document_id, text from chunk where tenant = $1 and current and audience = 'public'
