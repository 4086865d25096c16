"""Servers that tests start: PostgreSQL, Slurm, and a process that forks runs of Snakemake."""
