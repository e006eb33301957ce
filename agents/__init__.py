"""Four pure agents: they ask questions and decide; they do no I/O and know no clock."""
