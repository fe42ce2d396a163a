"""Event-driven streaming MLOps on Kafka: a model is a position in a log."""
