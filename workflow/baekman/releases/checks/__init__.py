"""The checks of a plan, each a function that returns what it observed, its limit and its verdict."""
