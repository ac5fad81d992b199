"""A version looks at text: predictions, the scores of the pool, and where they are computed."""
