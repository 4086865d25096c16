"""The contigs of a reference: length and M5, as the SAM specification defines it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from baekman import atomic, tools


@dataclass(frozen=True, kw_only=True)
class Contig:
    """A contig; ``length`` in bases, ``m5`` the MD5 of its upper-case bases, "" where it is not told."""

    name: str
    length: int
    m5: str


def contigs_of(reference: Path, *, cache: Path) -> dict[str, Contig]:
    """Name -> contig of the FASTA ``reference``, in its order.

    The M5s are computed once (``samtools dict``) and kept in the folder ``cache`` until the FASTA changes.
    """
    status = reference.stat()
    kept = cache / f"{reference.name}.{status.st_size}.{status.st_mtime_ns}.dict"
    if not kept.is_file():
        made = subprocess.run(
            [*tools.command("samtools"), "dict", str(reference)], capture_output=True, check=True
        )
        lines = [f"@SQ\tSN:{c.name}\tLN:{c.length}\tM5:{c.m5}" for c in contigs_in(made.stdout.decode())]
        atomic.write_text(kept, "\n".join(lines) + "\n")
    return {contig.name: contig for contig in contigs_in(kept.read_text(encoding="utf-8"))}


def contigs_in(header: str) -> list[Contig]:
    """The contigs that a SAM header names (``@SQ``); malformed lines are left out."""
    found = []
    for line in header.splitlines():
        if not line.startswith("@SQ\t"):
            continue
        fields = dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)
        if fields.get("SN") and fields.get("LN", "").isdigit():
            found.append(Contig(name=fields["SN"], length=int(fields["LN"]), m5=fields.get("M5", "").lower()))
    return found


def differences(found: Iterable[Contig], reference: dict[str, Contig]) -> tuple[int, int]:
    """How many contigs of ``found`` are in ``reference`` too, and how many of these differ in length or M5.

    An M5 that is not told differs from none.
    """
    shared = [(contig, reference[contig.name]) for contig in found if contig.name in reference]
    differing = [
        one for one, other in shared if one.length != other.length or (one.m5 and one.m5 != other.m5)
    ]
    return len(shared), len(differing)
