"""Proofs that a cohort store is whole."""
