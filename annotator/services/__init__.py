"""The use cases, a room each. They know neither requests nor background jobs."""
