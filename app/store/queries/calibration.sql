select version, formula, reviewed_until, fitted_at, curves, measured
from calibration where tenant = $1 order by version desc limit 1
