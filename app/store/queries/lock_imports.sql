select pg_advisory_xact_lock(hashtextextended('deskstream.import ' || $1::text, 0))
