"""The header of a gVCF: its end, its columns, and its contigs against the reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from baekman.errors import Problem
from baekman.files.shown_text import printable
from baekman.genome.contigs import Contig
from baekman.genome.vcf_header import vcf_contigs

COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
SHOWN_LETTERS = 80


def shown(name: str) -> str:
    """Return the name of a contig of a gVCF as a message shows it: printable, and not longer than a line."""
    return printable(name if len(name) <= SHOWN_LETTERS else f"{name[:SHOWN_LETTERS]}…")


def is_ignored(name: str, ignored: Sequence[str]) -> bool:
    """Return whether ``ignored`` has the contig ``name``; a ``*`` at the end of an entry stands for any ending."""
    return any(name == entry or (entry.endswith("*") and name.startswith(entry[:-1])) for entry in ignored)


def column_fault(line: bytes) -> str:
    """Return the fault of a #CHROM line, in words; "" for a line with one sample."""
    line = line.rstrip(b"\r\n")
    columns = line.split(b"\t")
    if line.startswith(COLUMNS) and len(columns) == 10:
        return ""
    if len(columns) == 1 and b" " in line:
        return "columns separated by spaces"
    return f"{max(len(columns) - 9, 0)} samples"


def contig_problems(
    head: bytes, *, label: str, contigs: Mapping[str, Contig], aliases: Mapping[str, str]
) -> list[Problem]:
    """Return a problem for each contig of the header lines ``head`` with another length or M5 than in ``contigs``.

    ``aliases``: the reference's name of a contig by its name in the gVCF. Contigs that the reference lacks are skipped,
    since only their records matter.
    """
    return list(_differing(vcf_contigs(head.decode("utf-8", "replace")), label, contigs, aliases))


def contig_lines(head: bytes) -> bytes:
    """Return the lines of the header lines ``head`` from the first that defines a contig to the last."""
    begin, last = head.find(b"\n##contig=<"), head.rfind(b"\n##contig=<")
    return head[begin + 1 : head.find(b"\n", last + 1)] if begin >= 0 else b""


def _differing(
    defined: Sequence[Contig], label: str, contigs: Mapping[str, Contig], aliases: Mapping[str, str]
) -> Iterator[Problem]:
    for delivered in defined:
        own = contigs.get(aliases.get(delivered.name, delivered.name))
        if own is None:
            continue
        expected, found = "", ""
        if delivered.length not in (-1, own.length):
            expected, found = f"{own.length} bases, as in the store's reference", str(delivered.length)
        elif delivered.m5 and own.m5 and delivered.m5 != own.m5:
            expected, found = f"the M5 of the store's reference, {own.m5}", shown(delivered.m5)
        if found:
            yield Problem(
                file=label,
                place=f"header, contig {shown(delivered.name)}",
                expected=expected,
                found=found,
                action="call the participant again on the reference of the cohort",
            )


def naming_advice(name: str, *, contigs: Sequence[str]) -> str:
    """Return what to write into the configuration for a contig that the reference lacks."""
    bare = name[3:] if name.startswith("chr") else name
    likely = next((own for own in (bare, f"chr{bare}") if own in contigs and own != name), None)
    if likely is None and bare in ("M", "MT"):
        likely = next((own for own in ("chrM", "MT", "M", "chrMT") if own in contigs and own != name), None)
    alias = f"{{{_quoted(name)}: {_quoted(likely)}}}" if likely else f"{{{_quoted(name)}: NAME IN THE REFERENCE}}"
    return (
        f"in the configuration, give its name in the reference (cohort.contig_aliases: {alias}) "
        f"or leave it out (cohort.ignore_contigs: [{_quoted(name)}])"
    )


def _quoted(name: str) -> str:
    return json.dumps(shown(name), ensure_ascii=False)
