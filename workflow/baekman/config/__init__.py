"""The configuration of a workspace, and the faults that a schema finds in settings."""
