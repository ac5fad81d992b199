"""``annotator demo``."""
