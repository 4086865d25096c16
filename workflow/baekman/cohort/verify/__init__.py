"""Proof that a cohort store is whole."""
