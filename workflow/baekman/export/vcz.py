"""The cohort as VCF Zarr, by bio2zarr."""

from __future__ import annotations

import shutil
from pathlib import Path

import pysam.bcftools

from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store


def write_vcz(store: Store, snapshot: Snapshot, *, whole: Path, output: Path) -> None:
    """Convert the BCF file ``whole``, which lies in a folder of work, to the folder ``output``."""
    from bio2zarr import vcf

    pysam.bcftools.index("-f", str(whole))
    made = whole.with_name("cohort.vcz")
    shutil.rmtree(made, ignore_errors=True)
    vcf.convert([str(whole)], str(made), icf_path=str(whole.with_name("icf")), worker_processes=0)
    shutil.rmtree(output, ignore_errors=True)
    made.replace(output)
