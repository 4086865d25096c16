"""The parts of a delivered file that intake examines beyond its format: the writer of each read, and headers."""
