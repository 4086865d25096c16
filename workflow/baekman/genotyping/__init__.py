"""Joint genotypes and the test of Hardy-Weinberg equilibrium."""
