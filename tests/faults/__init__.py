"""Faults of every command: the scenes, the disturbances and the harness."""
