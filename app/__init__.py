"""Everything that does I/O: the runtime, the servers, the store, the command line."""
