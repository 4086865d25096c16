"""Questions to the cohort."""
