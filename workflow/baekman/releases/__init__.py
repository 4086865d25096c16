"""Releases: the rows of some participants for a reviewed project."""
