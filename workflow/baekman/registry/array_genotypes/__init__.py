"""Array genotypes that the registry keeps for the identity check."""
