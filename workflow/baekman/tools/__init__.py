"""Programs of others: samtools, bcftools, pipes and processes."""
