"""The configuration of a workspace."""
