"""Gold and whole projects leave as files, and come back."""
