"""The QC gate: metrics of a specimen and their judgement."""
