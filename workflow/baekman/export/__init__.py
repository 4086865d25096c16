"""The cohort as multi-sample files."""
