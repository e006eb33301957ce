insert into calibration (tenant, version, formula, reviewed_until, curves, measured)
select $1, coalesce(max(version), 0) + 1, $2, $3, $4::text::jsonb, $5::text::jsonb
from calibration where tenant = $1
returning version
