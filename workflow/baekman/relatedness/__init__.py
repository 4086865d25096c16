"""Relatedness and ancestry of the participants of a snapshot: kinship, principal components and outliers, by plink2."""
