"""Kafka's side of the app: connection settings, topics, and events as CloudEvents records."""
