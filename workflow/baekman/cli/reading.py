"""Reading the cohort: tables, exports, queries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.cohort import CohortOption, SchedulerOption, WorkersOption

app = typer.Typer(help="Reading the cohort.", no_args_is_help=True)


@app.command()
def tables(
    cohort: CohortOption,
    output: Annotated[Path, typer.Option("--output", help="Folder of the tables.")],
    participants: Annotated[
        str | None,
        typer.Option("--participants", help="IDs separated by commas, or @FILE with one a line; else everyone."),
    ] = None,
    snapshot: Annotated[int | None, typer.Option("--snapshot", help="Number of a snapshot; else the latest.")] = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
) -> None:
    """Write per-participant variant tables and reference blocks; prints how many participants.

    Example: baekman tables --cohort cohort --output tables --participants P0123456789ABX
    """
    from baekman.engine import Engine
    from baekman.snapshot import read_snapshot
    from baekman.store import open_store
    from baekman.tables import make_tables

    store = open_store(cohort)
    chosen: list[str] | None = None
    if participants is not None:
        text = Path(participants[1:]).read_text() if participants.startswith("@") else participants.replace(",", "\n")
        chosen = [line.strip() for line in text.splitlines() if line.strip()]
    count = make_tables(
        store,
        output=output,
        snapshot=read_snapshot(store, snapshot),
        participants=chosen,
        engine=Engine(workers=workers, scheduler=scheduler),
    )
    typer.echo(str(count))
