"""Intake of records: a delivery by subject codes becomes events by participant IDs, verdicts and a return report."""
