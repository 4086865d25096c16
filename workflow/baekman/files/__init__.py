"""Files: atomic writes, text tables, untrusted input."""
