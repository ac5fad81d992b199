"""What is shown next: order, publication, cold start, costs, lexicon."""
