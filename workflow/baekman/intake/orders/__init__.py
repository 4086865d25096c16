"""Intake in two places: the desk, which opens the registry, and jobs, which open delivered files."""
