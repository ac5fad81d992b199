"""The use cases. They know neither requests nor queues."""
