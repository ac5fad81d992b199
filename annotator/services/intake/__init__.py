"""Import of documents: split, tokenized, grouped with their near-duplicates."""
