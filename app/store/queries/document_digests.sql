select document_id, digest, collection from document where tenant = $1 and withdrawn_at is null
