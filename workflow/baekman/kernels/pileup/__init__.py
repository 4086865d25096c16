"""The pileup of a participant's reads, base by base, as bcftools mpileup has it."""
