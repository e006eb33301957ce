select distinct tenant from graduation where state = 'open' order by tenant
