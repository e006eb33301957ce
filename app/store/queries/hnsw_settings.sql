-- Goes on through the index until the tenant's chunks are enough; 100 candidates a step keep recall near the exact one.
select set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', '100', true),
       set_config('hnsw.max_scan_tuples', '40000', true)
