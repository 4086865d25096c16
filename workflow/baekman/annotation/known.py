"""Known alleles of a VCF (dbSNP, ClinVar): split and left-aligned as the alleles of a cohort are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from baekman.annotation.consequences import table_of_text
from baekman.tools.pipes import piped
from baekman.tools.programs import command

# An allele slides to the left by less than this, except in longer repeats: it is looked for this far to the right.
SLIDE = 10_000
ALLELE = {"pos": pa.int32(), "ref": pa.string(), "alt": pa.string()}
TAGS = {
    "rsids": {"rsid": "%ID"},
    "clinvar": {"clinvar_id": "%ID", "clinvar": "%CLNSIG", "clinvar_review": "%CLNREVSTAT"},
}


def known_alleles(
    path: Path, *, kind: str, names: Sequence[str], renaming: Path, reference: Path, start: int, end: int
) -> pa.Table:
    """Return the alleles of the VCF ``path`` from ``start`` to ``end`` (1-based, inclusive), one row per allele.

    Columns: ``pos ref alt`` as in the cohort, and the columns of TAGS for ``kind`` (null: ``.`` in the file). Values of
    several records of an allele are joined with ``;``, sorted. ``names`` are the names of the contig in the file,
    ``renaming`` a file with a line (name, the cohort's name) for each, ``reference`` a FASTA with the cohort's name.

    Raises:
        PipeFailed: bcftools cannot read the file; its reason is on stderr.
    """
    tags = TAGS[kind]
    if not names:
        return pa.schema([*ALLELE.items(), *((name, pa.string()) for name in tags)]).empty_table()
    regions = ",".join(f"{{{name}}}:{start}-{end + SLIDE}" for name in names)
    bcftools = command("bcftools")
    fields = ("%POS", "%REF", "%ALT", *tags.values())
    text = piped(
        [*bcftools, "view", "--no-version", "-G", "-r", regions, "-Ou", path],
        [*bcftools, "annotate", "--no-version", "--rename-chrs", renaming, "-Ou", "-"],
        [*bcftools, "norm", "--no-version", "-m", "-any", "-c", "x", "-f", reference, "-Ou", "-"],
        [*bcftools, "query", "--allow-undef-tags", "-f", "\t".join(fields) + "\n", "-"],
    )
    table = table_of_text(text, {**ALLELE, **dict.fromkeys(tags, pa.string())})
    return _joined(table, tags=list(tags), start=start, end=end)


def _joined(table: pa.Table, *, tags: Sequence[str], start: int, end: int) -> pa.Table:
    """Return the alleles within ``start`` and ``end``, one row each."""
    import duckdb

    connection = duckdb.connect()
    connection.register("known", table)
    values = ", ".join(f"string_agg(DISTINCT {tag}, ';' ORDER BY {tag}) AS {tag}" for tag in tags)
    return connection.sql(
        f"SELECT pos, ref, alt, {values} FROM known WHERE pos BETWEEN {start} AND {end} GROUP BY ALL ORDER BY ALL"
    ).to_arrow_table()
