"""The monthly summary of an institution's deliveries, for this institution only."""
