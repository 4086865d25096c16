"""Options of ``query`` and ``export``: the question, and the form of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from baekman.api.cohort import Cohort
    from baekman.query.question import Question

RegionOption = Annotated[
    str | None, typer.Option("--region", help="contig or contig:start-end, 1-based, both ends included.")
]
RegionsOption = Annotated[
    Path | None,
    typer.Option("--regions", help="A BED file (0-based, half-open; plain or .gz) in place of --region."),
]
ParticipantsOption = Annotated[
    str | None,
    typer.Option("--participants", help="IDs separated by commas, or @FILE with an ID per line; default: everyone."),
]
MinAcOption = Annotated[
    int,
    typer.Option("--min-ac", min=0, help="The fewest copies of an allele in the genotypes that the file shows."),
]
SnapshotOption = Annotated[int | None, typer.Option("--snapshot", help="Number of a snapshot; default: the latest.")]
ParticipantOption = Annotated[str | None, typer.Option("--participant", help="ID of a participant.")]
SqlOption = Annotated[
    str | None, typer.Option("--sql", help="A SELECT over the views sites, calls, reference and participants.")
]
GeneOption = Annotated[
    str | None, typer.Option("--gene", help="Sites, or call rows with --participant, with a consequence in this gene.")
]
RsidOption = Annotated[
    str | None, typer.Option("--rsid", help="Sites, or call rows with --participant, with this ID, such as rs334.")
]
CarriersOption = Annotated[
    str | None,
    typer.Option(
        "--carriers",
        help="An allele as contig:pos:ref:alt: the participants who carry it, with GQ and DP. With --region, --gene or "
        "--rsid without a value: those of each allele.",
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        help="With --region, --gene or --rsid: counts of each allele by sex, type, batch or TABLE.COLUMN (of --with), "
        "with commas.",
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        help="A table of your own (CSV, TSV, Parquet), for --sql and --by: FILE (its name is the view's) or NAME=FILE.",
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", help="Names with commas, or all; default: all; on a terminal those that fit its width."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=0, help="The most rows, 0 for all; default: all, but 100 on a terminal.")
]
AnswerFormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, tsv, csv, json or parquet; default: a table on a terminal, else by the ending of --output, "
        "else tsv.",
    ),
]
AnswerFileOption = Annotated[Path | None, typer.Option("--output", "-o", help="A file; default: stdout.")]
TablesOption = Annotated[
    Path | None,
    typer.Option("--tables", help="With --participant: read the finished table in this folder, encrypted or not."),
]
TimeLimitOption = Annotated[float, typer.Option("--time-limit", min=0, help="Seconds for the answer; 0: no limit.")]
MemoryLimitOption = Annotated[str, typer.Option("--memory-limit", help="Memory of the query.")]
SpillLimitOption = Annotated[str, typer.Option("--spill-limit", help="Disk for rows that do not fit in memory.")]
ALLELES = {"region", "gene", "rsid"}  # options that name alleles


def require_one_question(parts: Mapping[str, Any], additions: Mapping[str, Any]) -> None:
    """Refuse options that are no question, more than one, or additions to another question than theirs.

    ``parts``: the options that say what is asked, by name; ``additions``: ``tables``, ``by`` and ``with``.
    """
    from baekman.query.question import EVERY_ALLELE  # slow to import

    given = {name for name, value in parts.items() if value is not None}
    if parts.get("carriers") == EVERY_ALLELE:
        given.remove("carriers")
        if not given & ALLELES or given - ALLELES:
            message = "without an allele goes with --region, --gene or --rsid; else give contig:pos:ref:alt"
            raise typer.BadParameter(message, param_hint="--carriers")
    if not given and additions.get("by") is not None:
        raise typer.BadParameter("goes with --region, --gene and --rsid", param_hint="--by")
    if not given or (given & {"sql", "carriers"} and len(given) > 1):
        options = "--region, --participant, --gene, --rsid or several of them"
        alone = next((name for name in ("sql", "carriers") if name in given), "")
        words = f"--{alone} goes without other questions: " if alone else ""
        raise typer.BadParameter(f"{words}give {options}, or else --carriers, or --sql")
    added = {name for name, value in additions.items() if value is not None}
    if "tables" in added and "participant" not in given:
        raise typer.BadParameter("goes with --participant", param_hint="--tables")
    if "tables" in added and given & {"gene", "rsid"}:
        raise typer.BadParameter("goes without --gene and --rsid", param_hint="--tables")
    if "by" in added and (given - ALLELES or parts.get("carriers") is not None):
        other = next(name for name in ("carriers", "participant", "sql") if parts.get(name) is not None)
        raise typer.BadParameter(f"goes with --region, --gene and --rsid, not with --{other}", param_hint="--by")
    if "with" in added and "sql" not in given and "by" not in added:
        raise typer.BadParameter("goes with --sql or --by", param_hint="--with")


def of_finished_table(cohort: Cohort, question: Question) -> Question:
    """Return a question about a participant's region for the finished table in the workspace, if there is one.

    A freeze has tables of its own.
    """
    from baekman.query.finished import finished_tables

    if question.participant is None or question.region is None or question.tables is not None:
        return question
    if question.needs_annotations or not cohort.snapshot.number:
        return question
    return replace(question, tables=finished_tables(cohort.store, question.participant))
