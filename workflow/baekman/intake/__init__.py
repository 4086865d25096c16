"""The intake gate: from a delivery to staged files."""
