"""Compiled kernels that read and rewrite the text of delivered files: FASTQ, SAM and VCF, whole lines at a time."""
