select document_id, title from document where tenant = $1 and withdrawn_at is null and audience = 'public'
