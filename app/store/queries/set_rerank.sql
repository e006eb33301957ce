update tenant set rerank = $2 where tenant = $1 returning tenant
