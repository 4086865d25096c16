"""Reports of a delivery: MultiQC, the table of verdicts, the run manifest, and the wording that pages share."""
