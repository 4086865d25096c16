"""The report on a snapshot of a cohort: numbers by shard and by batch, figures and the page."""
