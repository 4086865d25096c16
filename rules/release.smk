# One release: its buckets and shards as jobs. `baekman release build R… --profile slurm` runs it in the folder of the
# unfinished package, before and after which it asks decisions and consent. Jobs never open the registry.
import json
from pathlib import Path

from baekman.tools import processes, programs
from snakemake.utils import min_version

min_version("9.12")

programs.find_own_commands()
processes.stop_with_deliver()

NAMES = (
    json.loads(Path("tasks.json").read_text()) if Path("tasks.json").is_file() else {}
)


def notes_of(*kinds):
    """Return the notes of all tasks of `kinds`."""
    return [f"notes/{name}.json" for kind in kinds for name in NAMES.get(kind, [])]


wildcard_constraints:
    bucket="[0-9a-f]{2}",
    shard=r"\w+",
    region=r"\d{4}",


rule release:
    default_target: True
    input:
        notes=notes_of(*NAMES),


rule read_records:
    """Read a bucket of the record store."""
    output:
        note="notes/spill-{bucket}.json",
    log:
        "logs/read_records/{bucket}.log",
    benchmark:
        "benchmarks/read_records/{bucket}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step release spill spill-{wildcards.bucket} 2> {log}"


rule write_records:
    """Write a bucket of the release, from all buckets of the record store."""
    input:
        spilled=notes_of("spill"),
    output:
        note="notes/bucket-{bucket}.json",
    log:
        "logs/write_records/{bucket}.log",
    benchmark:
        "benchmarks/write_records/{bucket}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step release bucket bucket-{wildcards.bucket} 2> {log}"


rule write_meds:
    """Write a bucket of the release in MEDS."""
    input:
        spilled=notes_of("spill"),
    output:
        note="notes/meds-{bucket}.json",
    log:
        "logs/write_meds/{bucket}.log",
    benchmark:
        "benchmarks/write_meds/{bucket}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step release meds meds-{wildcards.bucket} 2> {log}"


rule write_genotypes:
    """Write the sites and genotypes of a shard."""
    output:
        note="notes/shard-{shard}.json",
    log:
        "logs/write_genotypes/{shard}.log",
    benchmark:
        "benchmarks/write_genotypes/{shard}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step release shard shard-{wildcards.shard} 2> {log}"


rule write_dosages:
    """Write the matrix of a region, from the shards that it touches."""
    input:
        shards=notes_of("shard"),
    output:
        note="notes/matrix-{region}.json",
    log:
        "logs/write_dosages/{region}.log",
    benchmark:
        "benchmarks/write_dosages/{region}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step release matrix matrix-{wildcards.region} 2> {log}"


rule write_pgen:
    """Write a region for plink2."""
    output:
        note="notes/pgen-{region}.json",
    log:
        "logs/write_pgen/{region}.log",
    benchmark:
        "benchmarks/write_pgen/{region}.tsv"
    conda:
        "../envs/step.yaml"
    shell:
        "baekman step release pgen pgen-{wildcards.region} 2> {log}"
