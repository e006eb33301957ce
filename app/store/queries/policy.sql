select t.tenant, mode, graduated, confidence_min, mask_personal_data,
       c.version, c.formula, c.reviewed_until, c.curves
from tenant t
left join lateral (
    select version, formula, reviewed_until, curves from calibration
    where tenant = $1 order by version desc limit 1
) c on true
where t.tenant = $1
