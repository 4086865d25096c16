"""Running the tasks of a plan."""
