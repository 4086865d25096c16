"""Research projects: their people, keys and decisions."""
