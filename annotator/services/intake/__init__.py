"""Documents come in: split, tokenized, grouped with their near-duplicates."""
