update decision set relayed_at = now() where id = any ($1::uuid[])
