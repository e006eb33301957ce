"""The engine: Kafka to Kafka, exactly once, in order by key, with thousands of slow calls in flight.

It knows records and outputs, nothing of tickets, agents or databases, and can stand alone on aiokafka.
"""
