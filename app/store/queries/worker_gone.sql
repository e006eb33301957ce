delete from worker where worker_id = $1
