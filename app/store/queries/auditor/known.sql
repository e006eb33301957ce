select 1 from sending_halt where tenant = $1 and why = $2 and by = $3 limit 1
