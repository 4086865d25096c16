"""The contigs of a reference: name, length and M5, as the SAM specification defines it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Contig:
    """A contig of a reference.

    ``length``: number of bases. ``m5``: MD5 of the upper-case bases, as in the M5 of SAM's @SQ; "" if unknown.
    ``stored_md5``: MD5 of the bases that a cohort store keeps, where they differ (N for letters other than ACGT).
    """

    name: str
    length: int
    m5: str
    stored_md5: str = ""


def contigs_in(header: str) -> list[Contig]:
    """Return the contigs that the SAM ``header`` names (``@SQ``); malformed lines are skipped."""
    contigs = []
    for line in header.splitlines():
        if not line.startswith("@SQ\t"):
            continue
        fields = dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)
        if fields.get("SN") and fields.get("LN", "").isdigit():
            contigs.append(Contig(name=fields["SN"], length=int(fields["LN"]), m5=fields.get("M5", "").lower()))
    return contigs


def differences(contigs: Iterable[Contig], reference: dict[str, Contig]) -> tuple[int, int]:
    """Return the number of ``contigs`` that ``reference`` has too, and the number of these with other length or M5.

    A contig without an M5 is compared by its length only.
    """
    shared = [(contig, reference[contig.name]) for contig in contigs if contig.name in reference]
    differing = [contig for contig, own in shared if contig.length != own.length or contig.m5 not in ("", own.m5)]
    return len(shared), len(differing)
