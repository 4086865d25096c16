"""From whole-genome sequencing deliveries to joint-genotyped, per-participant variant tables."""

__version__ = "0.1.0"
