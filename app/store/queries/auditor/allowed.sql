-- What stood at $3, with $4 seconds in its favour: policies are kept for a while, and records take their time.
with moment as (
    select $3::timestamptz - make_interval(secs => $4) as began, $3::timestamptz + make_interval(secs => $4) as ended
)
select
    exists (
        select from audit_log o, moment
        where o.tenant = $1 and o.action = 'mode_set' and o.details ->> 'mode' = 'auto' and o.at <= ended
          and not exists (
              select from audit_log c
              where c.tenant = $1 and c.action = 'mode_set' and c.details ->> 'mode' = 'draft'
                and c.id > o.id and c.at < began
          )
    ) as auto,
    exists (
        select from audit_log o, moment
        where o.tenant = $1 and o.action = 'graduation_opened' and o.subject = $2 and o.at <= ended
          and not exists (
              select from audit_log c
              where c.tenant = $1 and c.action = 'graduation_closed' and c.subject = $2 and c.id > o.id and c.at < began
          )
    ) as graduated,
    exists (
        select from sending_halt h, moment
        where h.tenant = $1 and h.at < began and coalesce(h.lifted_at > ended, true)
    ) as halted,
    confidence_min
from tenant
where tenant = $1
