"""``baekman records …``: dated facts about participants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import HERE, WorkspaceOption

app = typer.Typer(help="Records: dated facts about participants, and the days that are covered.", no_args_is_help=True)


@app.command()
def init(
    workspace: WorkspaceOption = HERE,
    dictionary: Annotated[
        Path | None,
        typer.Option("--dictionary", help="Dictionary of codes (TSV); default: the starter.", exists=True),
    ] = None,
    buckets: Annotated[
        int, typer.Option("--buckets", help="Number of buckets that participants are spread over; fixed for ever.")
    ] = 256,
) -> None:
    """Create the empty record store of a workspace, W/records, with its dictionary.

    Example: baekman records init --workspace W
    """
    from baekman import data
    from baekman.records.store import create_store

    text = (dictionary or data.path("dictionary.tsv")).read_text("utf-8")
    store = create_store(workspace, dictionary=text, buckets=buckets)
    typer.echo(f"{store.buckets} buckets")


@app.command("snapshots")
def list_snapshots(workspace: WorkspaceOption = HERE) -> None:
    """List the snapshots of the records, a JSON object per line.

    Example: baekman records snapshots --workspace W
    """
    from baekman.records.snapshot import numbers, read_snapshot
    from baekman.records.store import open_store

    store = open_store(workspace)
    for number in numbers(store):
        snapshot = read_snapshot(store, number)
        description = {
            "snapshot": snapshot.number,
            "rows": sum(entry.rows for entry in snapshot.batches),
            "batches": [{"name": entry.name, "as_of": entry.as_of} for entry in snapshot.batches],
        }
        typer.echo(json.dumps(description))
