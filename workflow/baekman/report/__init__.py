"""Reports of a delivery."""
