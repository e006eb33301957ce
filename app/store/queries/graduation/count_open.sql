select count(*) from graduation where tenant = $1 and state = 'open'
