"""The reference genome: contigs, regions, shards, PARs, ploidy, callable bases, and the header of a VCF."""
