"""Variant calling: one gVCF per participant."""
