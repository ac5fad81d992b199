"""Export of gold, and backup and restore of whole projects."""
