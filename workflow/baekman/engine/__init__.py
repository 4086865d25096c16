"""The engines that run the tasks of a plan."""
