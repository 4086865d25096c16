"""The sample in the header of a CRAM or gVCF against the participant of its folder: files may be swapped on disk."""

from __future__ import annotations

from pathlib import Path

import pysam

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.genome.vcf_header import read_header, vcf_samples


def require_owner(file: Path, *, participant: str) -> None:
    """Raise InputRefused unless ``participant`` is the only sample of the CRAM, BAM or gVCF ``file``."""
    names = _read_group_samples(file) if file.suffix in (".cram", ".bam") else set(vcf_samples(read_header(file)))
    if names == {participant}:
        return
    other = next(iter(names), "") if len(names) == 1 else ""
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
