update tenant set mask_personal_data = $2 where tenant = $1 returning tenant
