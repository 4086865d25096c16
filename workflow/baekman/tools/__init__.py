"""Programs of other projects: samtools, bcftools, pipes and processes."""
