"""The cohort as an object: what ``import baekman`` offers, and what the command line goes through."""
