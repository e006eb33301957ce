select state, count(*) as tickets from ticket where tenant = $1 group by state
