insert into worker (worker_id) values ($1) on conflict (worker_id) do update set heartbeat_at = now()
