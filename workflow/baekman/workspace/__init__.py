"""The folder in which a cohort is made."""
