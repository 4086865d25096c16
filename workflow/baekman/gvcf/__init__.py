"""Reading one participant's gVCF."""
