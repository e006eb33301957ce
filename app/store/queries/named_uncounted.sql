-- Whether some article is newer than the last count.
select exists (
    select from document where tenant = $1 and withdrawn_at is null and audience = 'public' and named is null
)
