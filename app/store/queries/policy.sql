select t.tenant, mode, confidence_min, mask_personal_data, rerank,
       coalesce(
           (
               select jsonb_agg(jsonb_build_object('category', category, 'locale', locale))
               from graduation
               where tenant = $1 and state = 'open'
           ),
           '[]'
       ) as graduated,
       exists (select from sending_halt where tenant = $1 and lifted_at is null) as halted,
       c.version, c.formula, c.reviewed_until, c.curves
from tenant t
left join lateral (
    select version, formula, reviewed_until, curves from calibration
    where tenant = $1 order by version desc limit 1
) c on true
where t.tenant = $1
