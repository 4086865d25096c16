"""OMOP CDM 5.4: its tables, and one mapping between them and events that is used in both directions."""
