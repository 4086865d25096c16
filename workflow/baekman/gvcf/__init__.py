"""gVCF files, read into columns."""
