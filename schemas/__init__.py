"""Events and values on the bus: one event class for each topic, nothing that does I/O."""
