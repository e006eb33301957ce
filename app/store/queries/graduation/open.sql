insert into graduation (tenant, category, locale, state, bound_max, opened_by, opened_at)
values ($1, $2, $3, 'open', $4, $5, now())
on conflict (tenant, category, locale) do update
set state = 'open', bound_max = $4, opened_by = $5, opened_at = now(), closed_at = null, closed_by = null,
    closed_why = null
