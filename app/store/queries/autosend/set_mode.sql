update tenant set mode = $2 where tenant = $1 returning tenant
