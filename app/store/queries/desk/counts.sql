-- Of each of the states $2, counted up to $3 (null: all): what a page costs does not grow with the tickets of years.
select state, (
    select count(*) from (select from ticket t where t.tenant = $1 and t.state = each.state limit $3) counted
) as tickets
from unnest($2::text[]) each(state)
