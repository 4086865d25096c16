"""The per-participant variant tables."""
