"""The seals of the registry, which show what was deleted, swapped, changed or replaced by an older copy."""
