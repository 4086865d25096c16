"""``baekman records …``: dated facts about participants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import (
    HERE,
    InsecureOption,
    KeyFileOption,
    RegistryOption,
    SchedulerOption,
    WorkersOption,
    WorkspaceOption,
    readable_folder,
)

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


@app.command()
def receive(
    delivery: Annotated[
        Path,
        typer.Argument(metavar="DELIVERY", help="The delivery's folder.", callback=readable_folder, readable=False),
    ],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Receive a delivery of records: check each row, add those without a fault, and write the return report.

    Prints the rows by reason and column. Rows with faults are left out and refuse nothing else.

    Example: baekman records receive inbox/emr-2026-03 --workspace W
    """
    import os

    from baekman.engine.local import Engine
    from baekman.intake.receive import Access
    from baekman.records.intake.receive import receive_records
    from baekman.tools.environment import forget_places
    from baekman.workspace.paths import Workspace

    forget_places(os.environ, delivery)
    received = receive_records(
        delivery,
        workspace=Workspace(workspace),
        access=Access(registry=registry, key_file=key_file),
        engine=Engine(workers=workers, scheduler=scheduler, insecure=insecure),
    )
    if received.status == "same":
        typer.echo(f"{received.delivery_id} was received before: nothing to do")
        return
    typer.echo("delivery\ttable\toutcome\tcolumn\trows")
    for table, counts in received.counts.items():
        outcomes = [(name, "", counts[name]) for name in ("rows", "accepted", "refused", "held")]
        outcomes += [(reason["code"], reason["column"], reason["rows"]) for reason in counts["reasons"]]
        for outcome, column, rows in outcomes if counts["rows"] else []:
            typer.echo(f"{received.delivery_id}\t{table}\t{outcome}\t{column}\t{rows}")


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
