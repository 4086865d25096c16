"""The cohort store: batches, snapshots and sites."""
