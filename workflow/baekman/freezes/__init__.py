"""Freezes: the sites and tables of everyone at one snapshot, in a folder that stands by itself."""
