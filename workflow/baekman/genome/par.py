"""Pseudo-autosomal regions (PAR): the ends of X and Y that pair like autosomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from baekman import data
from baekman.errors import InputRefused, Problem
from baekman.genome.chromosomes import assembly_of, chromosome_kind, chromosome_of
from baekman.genome.regions import Region

GRCH38 = (
    "grch38",
    "hg38",
    "hs38",
    "hs38dh",
    "grch38_no_alt",
    "homo_sapiens_assembly38",
    "grch38_full_analysis_set_plus_decoy_hla",
    "gca_000001405.15_grch38_no_alt_analysis_set",
)
GRCH37 = ("grch37", "hg19", "b37", "hs37d5", "hs37", "human_g1k_v37", "human_g1k_v37_decoy", "homo_sapiens_assembly19")
T2T = (
    "t2t-chm13v2.0",
    "chm13v2.0",
    "chm13v2",
    "hs1",
    "gca_009914755.4_t2t-chm13v2.0_genomic",
    "gcf_009914755.1_t2t-chm13v2.0_genomic",
)
# name of a reference, as in configurations and deliveries, in lower case -> its PAR table
PAR_TABLES = {
    **dict.fromkeys(GRCH38, "par_GRCh38.bed"),
    **dict.fromkeys(GRCH37, "par_GRCh37.bed"),
    **dict.fromkeys(T2T, "par_T2T-CHM13v2.0.bed"),
}


def find_par(par: str, *, contigs: Mapping[str, int]) -> Sequence[Region]:
    """Return the regions in the BED file ``par``, or those of the reference of that name with these ``contigs``."""
    return read_par(Path(par)) if Path(par).is_file() else known_par(par, contigs=contigs)


def known_par(name: str, *, contigs: Mapping[str, int]) -> tuple[Region, ...]:
    """Return the regions of a known reference; none where neither its name nor its X and Y are known.

    ``contigs``: numbers of bases by contig. X and Y are known by a RefSeq or GenBank accession, or by their length
    (``chromosomes.assembly_of``).
    """
    if regions := par_of_reference(name):
        return regions
    assemblies = {assembly_of(contig, length) for contig, length in contigs.items()} - {None}
    return par_of_reference(assemblies.pop() or "") if len(assemblies) == 1 else ()


def sex_chromosomes_note(contigs: Sequence[str], *, par: Sequence[Region]) -> str:
    """Return what is not known of the sex chromosomes of a reference with these ``contigs``; "" if nothing is missing.

    A reference of the autosomes 1 to 22 alone, such as a test genome, misses nothing; 23 may be X.
    """
    kinds = {chromosome_kind(contig): contig for contig in contigs}
    known = [kinds[kind] for kind in ("X", "Y") if kind in kinds]
    if known and not par:
        return (
            f"sex chromosomes: the pseudo-autosomal regions of {' and '.join(known)} are not known; "
            "males count with the copies that their gVCFs have, unless par_regions of the configuration names them"
        )
    if not known and any(not chromosome_of(contig) for contig in contigs):
        return (
            "sex chromosomes: no contig has a name of X or Y; all but MT are taken for autosomes, "
            "and the sex of participants changes nothing"
        )
    return ""


@cache
def par_of_reference(name: str) -> tuple[Region, ...]:
    """Return the regions of a known reference by its name (``PAR_TABLES``); none for any other."""
    table = PAR_TABLES.get(name.lower())
    return tuple(read_par(data.path(table))) if table else ()


def read_par(par: Path) -> list[Region]:
    """Read the regions in a BED file (0-based, half-open); ``#`` starts a comment.

    Raises ``InputRefused`` with every line that is not an interval on X or Y.
    """
    regions, problems = [], []
    for number, line in enumerate(par.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split()
        sound = len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit()
        if sound and int(fields[1]) < int(fields[2]) and chromosome_kind(fields[0]) in "XY":
            regions.append(Region(fields[0], int(fields[1]) + 1, int(fields[2])))
        else:
            problems.append(
                Problem(
                    file=par.name,
                    place=f"line {number}",
                    expected="contig X or Y by one of its names, start < end (BED: 0-based, half-open)",
                    found="something else",
                    action="correct the PAR table",
                )
            )
    if problems:
        raise InputRefused(problems)
    return regions
