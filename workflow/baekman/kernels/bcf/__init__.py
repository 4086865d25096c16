"""The writer of BCF records."""
