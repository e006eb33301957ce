insert into audit_log (tenant, actor, action, subject, details) values ($1, $2, $3, $4, $5)
