"""PostgreSQL: tenants, the knowledge base, the journal of paid calls and its ledger, claims."""
