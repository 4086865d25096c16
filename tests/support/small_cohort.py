"""Participants of a small cohort, each with an allele of their own."""

from __future__ import annotations

from pathlib import Path

from baekman.cohort.gvcf_list import Member
from baekman.cohort.roster import participants_of
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store
from support.store_tools import gvcf_text, line

BASES = "ACGT" * 30


def member(folder: Path, number: int, *, filter: str = ".") -> Member:
    """Write the gVCF of participant ``P<number>`` with an allele that no other participant carries."""
    path = folder / f"{number}.g.vcf"
    record = line(4 * number + 1, "A", "G", "0/1:40:22:11,11:45,0,42", filter=filter)
    path.write_text(gvcf_text([record], contigs={"c1": len(BASES)}))
    return Member(participant_id=f"P{number}", gvcf=str(path))


def everyone(store: Store) -> set[str]:
    """Return the participants of the latest snapshot."""
    return {participant for entry in read_snapshot(store).batches for participant in participants_of(store, entry.name)}
