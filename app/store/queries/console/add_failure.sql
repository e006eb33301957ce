insert into login_attempt (tenant, account) select $1, $2 where exists (select from tenant where tenant = $1)
