select tenant from tenant where tenant = $1 for update
