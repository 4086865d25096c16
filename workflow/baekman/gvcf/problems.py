"""The problems of a gVCF's records: for each reason of the reader, the expected and the found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baekman.gvcf.header import naming_advice, shown
from baekman.kernels import reader as kernel

PROBLEMS = {
    kernel.BAD_POS: ("POS of 1 or more", "no such number"),
    kernel.BAD_ORDER: ("records in the order of POS", "a record before the one above it"),
    kernel.PAST_END: ("a record within its contig", "one that goes past the contig's end"),
    kernel.BAD_REF: ("REF of bases", "something else"),
    kernel.BAD_REF_BASE: ("REF as in the store's reference", "another base"),
    kernel.BAD_ALT: ("ALT alleles of bases, symbolic alleles or breakends", "something else"),
    kernel.TOO_MANY_ALLELES: ("at most 4095 ALT alleles", "more"),
    kernel.BAD_END: ("END at POS or after it", "END before POS"),
    kernel.BAD_GENOTYPE: ("GT that names alleles of the record", "an allele that it does not have"),
    kernel.TOO_MANY_FIELDS: ("a FORMAT of at most 64 fields", "more"),
    kernel.MORE_FIELDS: ("no more fields of the sample than FORMAT names", "more"),
    kernel.DUPLICATED: ("each record once", "the same as a record above it"),
    kernel.TOO_MANY_FILTERS: ("at most 250 different values of FILTER", "more"),
}

OF_CONTIG = (kernel.BAD_CONTIG, kernel.REVISITED, kernel.TWO_NAMES)
REFUSED = frozenset({kernel.BAD_COLUMNS, *OF_CONTIG, *PROBLEMS})


def contig_of(line: bytes) -> str:
    """Return the contig that a ``line`` names."""
    return line.split(b"\t", 1)[0].decode("utf-8", "replace")


def explain(reason: int, line: bytes, *, contigs: Sequence[str], aliases: Mapping[str, str]) -> tuple[str, str, str]:
    """Return the expected, the found and the next step for a ``line`` that the reader refuses with ``reason``.

    ``contigs`` and ``aliases`` are those of the reference.
    """
    if reason == kernel.BAD_COLUMNS:
        return _explain_columns(line)
    if reason in OF_CONTIG:
        return _explain_contig(reason, contig_of(line), contigs, aliases)
    return *PROBLEMS[reason], ""


def _explain_columns(line: bytes) -> tuple[str, str, str]:
    columns = line.count(b"\t") + 1
    if columns == 1 and b" " in line.strip():
        return "columns separated by tabs", "columns separated by spaces", ""
    found = f"{columns} columns" if columns != 1 else "1 column"
    return "ten columns: one sample", found, "" if columns > 10 else "if the file was cut, send it again"


def _explain_contig(reason: int, name: str, contigs: Sequence[str], aliases: Mapping[str, str]) -> tuple[str, str, str]:
    if reason == kernel.BAD_CONTIG:
        found = f"{shown(name)}, which the reference lacks"
        return "a contig of the store's reference", found, naming_advice(name, contigs=contigs)
    own = aliases.get(name, name)
    found = shown(name) if name == own else f"{shown(name)}, an alias of {own}"
    if reason == kernel.TWO_NAMES:
        return "each contig under one name", f"{found}, after records of {own} under another name", "write one name"
    return "each contig's records in one piece", f"{found}, which was left before", "sort the records by contig"
