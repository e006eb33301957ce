select digest from document where tenant = $1 and document_id = $2 and withdrawn_at is null
