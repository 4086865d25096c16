"""``baekman records …``: dated facts about participants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import (
    CORES,
    HERE,
    InsecureOption,
    KeyFileOption,
    PurposeOption,
    RegistryOption,
    SchedulerOption,
    WorkersOption,
    WorkspaceOption,
    delivery_of_records,
    print_findings,
)
from baekman.cli.shared.ended_consent import open_and_revoke_ended
from baekman.query.limits import MEMORY_LIMIT, SPILL_LIMIT, TIME_LIMIT

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

    In a store that is there, --dictionary adds its codes to the dictionary, which only grows.

    Example: baekman records init --workspace W
    """
    from baekman import data
    from baekman.records.dictionary import extend_dictionary, read_dictionary
    from baekman.records.store import create_store, open_store
    from baekman.workspace.paths import Workspace

    file = dictionary or data.path("dictionary.tsv")
    known = read_dictionary(open_store(workspace).dictionary) if Workspace(workspace).records.exists() else None
    entries = read_dictionary(file, known=known)  # refuses a faulty one
    store = create_store(workspace, dictionary=file.read_text("utf-8"), buckets=buckets)
    if dictionary is not None:
        extend_dictionary(store, entries)
    typer.echo(f"{store.buckets} buckets")


@app.command()
def receive(
    delivery: Annotated[
        Path,
        typer.Argument(metavar="DELIVERY", help="The delivery's folder.", callback=delivery_of_records, readable=False),
    ],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Receive a delivery of records: check each row, add those without a fault, and write the return report.

    Prints the rows by reason and column. Rows with faults are left out and refuse nothing else.

    Example: baekman records receive inbox/emr-2026-03 --workspace W
    """
    import os

    from baekman.engine.heap import keep_freed_memory
    from baekman.engine.local import Engine
    from baekman.records.intake.receive import receive_records
    from baekman.tools.environment import forget_places
    from baekman.workspace.paths import Workspace

    forget_places(os.environ, delivery)
    keep_freed_memory()
    received = receive_records(
        delivery,
        workspace=Workspace(workspace),
        registry=registry,
        key_file=key_file,
        engine=Engine(workers=workers, scheduler=scheduler, insecure=insecure),
    )
    open_and_revoke_ended(workspace, registry=registry, key_file=key_file)
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


@app.command()
def query(
    sql: Annotated[
        str,
        typer.Option(
            "--sql", help="A SELECT over events, coverage, firsts, participants, dictionary, and state(P, CODE, DAY)."
        ),
    ],
    workspace: WorkspaceOption = HERE,
    format: Annotated[str, typer.Option("--format", help="table, tsv, csv, json or parquet.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; default: stdout.")] = None,
    snapshot: Annotated[int | None, typer.Option("--snapshot", help="Number; default: the latest.")] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=0, help="Seconds for the answer; 0: no limit.")
    ] = TIME_LIMIT,
    memory_limit: Annotated[str, typer.Option("--memory-limit", help="Memory of the query.")] = MEMORY_LIMIT,
    spill_limit: Annotated[
        str, typer.Option("--spill-limit", help="Disk for rows that do not fit in memory.")
    ] = SPILL_LIMIT,
    purpose: PurposeOption = "",
) -> None:
    """Print the answer to SQL over the records: corrections are applied, and rows without consent are left out.

    state(participant, code, day) has three answers: recorded, observed without an event, not observed. With a source
    in the place of the code it is about any event of that source.

    Example: baekman records query --workspace W --sql "SELECT code, count(*) FROM firsts GROUP BY code"

    Example: baekman records query --sql "SELECT state('P0123456789ABX', 'KCD8/E119', '2020-01-31')"
    """
    from baekman.query.limits import Limits
    from baekman.query.output import Output, write_answer
    from baekman.records.access import open_records

    limits = Limits(time=time_limit, memory=memory_limit, spill=spill_limit)
    records = open_records(workspace, purpose=purpose, snapshot=snapshot)
    with records.query(sql, limits=limits) as relation:
        write_answer(relation, Output(format=format, file=output))


@app.command()
def verify(workspace: WorkspaceOption = HERE, workers: WorkersOption = CORES) -> None:
    """Read all records again and prove digests, order, coverage and firsts; a line per finding, and exit 1 with any.

    Example: baekman records verify --workspace W --workers 8
    """
    from baekman import audit
    from baekman.engine.local import Engine
    from baekman.records.store import open_store
    from baekman.records.verification import verify

    store = open_store(workspace)
    audit.record_use(workspace, action="records.verify")
    print_findings(verify(store, engine=Engine(workers=workers)))


@app.command()
def compact(workspace: WorkspaceOption = HERE, workers: WorkersOption = CORES) -> None:
    """Replace all batches by one with the events that count, and delete older snapshots; prints the snapshot's number.

    Equal records have equal bytes then, whatever the order and the number of the batches.

    Example: baekman records compact --workspace W
    """
    from baekman import audit
    from baekman.engine.local import Engine
    from baekman.records.compaction import compact
    from baekman.records.store import open_store

    store = open_store(workspace)
    audit.record_use(workspace, action="records.compact")
    typer.echo(str(compact(store, engine=Engine(workers=workers)).number))


@app.command()
def export(
    format: Annotated[str, typer.Option("--format", help="omop, meds or phenopackets.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    workspace: WorkspaceOption = HERE,
    files: Annotated[str, typer.Option("--files", help="Files of OMOP tables: parquet or csv.")] = "parquet",
    snapshot: Annotated[int | None, typer.Option("--snapshot", help="Number; default: the latest.")] = None,
    purpose: PurposeOption = "",
) -> None:
    """Write the records as OMOP CDM 5.4, MEDS or phenopackets; prints the number of participants.

    omop has every table and column of the standard. meds has events, codes and, next to these, coverage. phenopackets
    has a line for each participant with an HPO term. Rows without consent are left out.

    Example: baekman records export --workspace W --format omop --output omop
    """
    from baekman.records.access import open_records
    from baekman.records.export.write import export_records

    records = open_records(workspace, purpose=purpose, snapshot=snapshot)
    typer.echo(str(export_records(records, output, format=format, files=files)))
