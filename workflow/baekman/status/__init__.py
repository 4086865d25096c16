"""The state of every delivery of a workspace, read from its files without the registry or its key."""
