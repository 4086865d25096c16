"""The reference: contigs, regions, shards, ploidy."""
