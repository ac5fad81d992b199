"""The queue: order, publication, cold start, costs, lexicon."""
