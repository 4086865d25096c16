"""Human chromosomes by the names of contigs: UCSC, Ensembl, RefSeq and GenBank names.

Accessions: NCBI's assembly reports of GRCh37 (GCF_000001405.13), GRCh38 (GCF_000001405.26) and T2T-CHM13v2.0
(GCF_009914755.1). The version of an accession does not change its chromosome, but tells the assembly.
"""

from __future__ import annotations

import re

NUMBERED = tuple(map(str, range(1, 23)))

# accession without its version -> chromosome
_ACCESSIONS = {
    **{f"NC_{number:06d}": name for number, name in enumerate((*NUMBERED, "X", "Y"), start=1)},  # GRCh, RefSeq
    **{f"CM{number:06d}": name for number, name in enumerate((*NUMBERED, "X", "Y"), start=663)},  # GRCh, GenBank
    **{f"NC_{number:06d}": name for number, name in enumerate((*NUMBERED, "X", "Y"), start=60925)},  # T2T, RefSeq
    **{f"CP{68278 - number:06d}": name for number, name in enumerate((*NUMBERED, "X"), start=1)},  # T2T, GenBank
    "CP086569": "Y",
    "CP068254": "MT",
    **dict.fromkeys(("NC_012920", "J01415", "NC_001807"), "MT"),  # rCRS; the third is the chrM of UCSC's hg19
}
# of X and Y, with the version
_ASSEMBLIES = {
    **dict.fromkeys(("NC_000023.10", "NC_000024.9", "CM000685.1", "CM000686.1"), "GRCh37"),
    **dict.fromkeys(("NC_000023.11", "NC_000024.10", "CM000685.2", "CM000686.2"), "GRCh38"),
    **dict.fromkeys(("NC_060947.1", "NC_060948.1", "CP068255.2", "CP086569.2"), "T2T-CHM13v2.0"),
}
# chromosome and its number of bases
_LENGTHS = {
    ("X", 155270560): "GRCh37",
    ("Y", 59373566): "GRCh37",
    ("X", 156040895): "GRCh38",
    ("Y", 57227415): "GRCh38",
    ("X", 154259566): "T2T-CHM13v2.0",
    ("Y", 62460029): "T2T-CHM13v2.0",
}


def chromosome_of(contig: str) -> str:
    """Return ``1`` to ``22``, ``X``, ``Y`` or ``MT`` for the contig of that chromosome; "" for any other name."""
    name = contig[3:] if contig[:3].lower() == "chr" else contig
    if name.upper() in ("X", "Y", "M", "MT"):
        return {"M": "MT"}.get(name.upper(), name.upper())
    return name if name in NUMBERED else _ACCESSIONS.get(re.sub(r"\.\d+$", "", contig.upper()), "")


def chromosome_kind(contig: str) -> str:
    """Return ``X``, ``Y`` or ``MT`` for those contigs by any of their names; ``autosome`` for every other name."""
    chromosome = chromosome_of(contig)
    return chromosome if chromosome in ("X", "Y", "MT") else "autosome"


def is_autosome(contig: str) -> bool:
    """Return whether a contig's name (``chr7``, ``7``, ``NC_000007.14``) is that of an autosome."""
    return contig.removeprefix("chr").isdigit() or chromosome_of(contig) in NUMBERED


def assembly_of(contig: str, length: int) -> str | None:
    """Return the assembly that X or Y is of, by its accession or its number of bases; None when neither is known."""
    return _ASSEMBLIES.get(contig.upper()) or _LENGTHS.get((chromosome_kind(contig), length))
