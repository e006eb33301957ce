select t.tenant, mode, confidence_min, mask_personal_data,
       (
           select coalesce(
               jsonb_agg(jsonb_build_object('category', split_part(g, '/', 1), 'locale', split_part(g, '/', 2))), '[]'
           )
           from unnest(graduated) g
       ) as graduated,
       c.version, c.formula, c.reviewed_until, c.curves
from tenant t
left join lateral (
    select version, formula, reviewed_until, curves from calibration
    where tenant = $1 order by version desc limit 1
) c on true
where t.tenant = $1
