"""The tasks of a release as jobs of Snakemake: one DAG per release (``rules/release.smk``)."""
