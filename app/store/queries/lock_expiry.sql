select pg_try_advisory_xact_lock(hashtextextended('deskstream.expiry', 0))
