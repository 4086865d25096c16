"""Reads to one aligned CRAM per participant."""
