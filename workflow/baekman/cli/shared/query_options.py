"""Options of ``query`` and ``export``: the question, and the form of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RegionOption = Annotated[
    str | None, typer.Option("--region", help="contig or contig:start-end, 1-based, both ends included.")
]
SnapshotOption = Annotated[int | None, typer.Option("--snapshot", help="Number of a snapshot; default: the latest.")]
ParticipantOption = Annotated[str | None, typer.Option("--participant", help="ID of a participant.")]
SqlOption = Annotated[
    str | None, typer.Option("--sql", help="A SELECT over the views sites, calls, reference and participants.")
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
