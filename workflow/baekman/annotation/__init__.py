"""Annotation of alleles: consequences for genes, rsIDs and ClinVar, one file per shard next to a snapshot's sites."""
