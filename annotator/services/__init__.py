"""The use cases, grouped in rooms. They know neither requests nor background jobs."""
