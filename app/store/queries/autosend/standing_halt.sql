select at, why, by from sending_halt where tenant = $1 and lifted_at is null
