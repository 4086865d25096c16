"""Held specimens, and the decisions of a person on them."""
