"""Forms of a release for machine learning: MEDS, splits by family, matrices of dosages, Croissant."""
