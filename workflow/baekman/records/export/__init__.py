"""Records in the formats of others: OMOP CDM, MEDS, phenopackets."""
