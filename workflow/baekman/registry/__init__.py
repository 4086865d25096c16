"""Who was registered, and who consented."""
