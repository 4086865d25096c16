"""The sample in the header of a CRAM or gVCF against the participant of its folder: files may be swapped on disk."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem


def require_owner(file: Path, *, participant: str) -> None:
    """Raise InputRefused unless ``participant`` is the only sample of the CRAM, BAM or gVCF ``file``."""
    samples = _read_group_samples(file) if file.suffix in (".cram", ".bam") else _vcf_samples(file)
    if samples == {participant}:
        return
    other = next(iter(samples), "") if len(samples) == 1 else ""
    raise InputRefused(
        Problem(
            file=f"participants/{participant}/{file.name}",
            place="header",
            expected=f"the sample {participant}",
            found=f"the sample {other}" if pseudonyms.is_valid(other, "P") else "another sample",
            action="files of two participants may have been swapped: find out how, and put each in its place",
        )
    )


def _read_group_samples(file: Path) -> set[str]:
    with pysam.AlignmentFile(str(file), check_sq=False) as opened:
        groups = opened.header.to_dict().get("RG", [])
    return {str(group.get("SM")) for group in groups}


def _vcf_samples(file: Path) -> set[str]:
    with gzip.open(file, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("#CHROM\t"):
                return set(line.rstrip("\n").split("\t")[9:])
            if not line.startswith("#"):
                break
    return set()
