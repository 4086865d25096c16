"""``baekman cohort …``: the cohort store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import CohortOption, ConfigOption, SchedulerOption, WorkersOption

app = typer.Typer(help="The cohort store: add batches, withdraw, verify, freeze.", no_args_is_help=True)


@app.command()
def init(
    cohort: CohortOption,
    reference: Annotated[Path, typer.Option("--reference", help="Reference FASTA (plain or bgzip).")],
    shards: Annotated[Path | None, typer.Option("--shards", help="Shard table; else the reference is tiled.")] = None,
    config: ConfigOption = None,
) -> None:
    """Create an empty store bound to a reference.

    Example: baekman cohort init --cohort cohort --reference GRCh38.fa
    """
    from baekman.cohort.settings import aliases, configuration_of, par_regions, thresholds
    from baekman.cohort.store import create_store

    config = configuration_of(cohort, config)
    store = create_store(
        cohort,
        reference=reference,
        shards_file=shards,
        thresholds=thresholds(config),
        aliases=aliases(config),
        par_regions=par_regions(config),
    )
    typer.echo(f"{len(store.contigs)} contigs, {len(store.shards)} shards")


@app.command()
def add(
    cohort: CohortOption,
    batch: Annotated[str, typer.Option("--batch", help="Name of the batch.")],
    gvcfs: Annotated[Path, typer.Option("--gvcfs", help="List: participant_id <TAB> path [<TAB> sex].")],
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a batch of gVCFs and commit a new snapshot; prints its number.

    Example: baekman cohort add --cohort cohort --batch D1 --gvcfs list.tsv --workers 8
    """
    from baekman import audit
    from baekman.cohort.add import add_batch
    from baekman.cohort.gvcf_list import read_members
    from baekman.cohort.settings import configuration_of, site_filters
    from baekman.cohort.store import open_store
    from baekman.engine.local import Engine
    from baekman.workspace.denied import denied_hash, require_consent
    from baekman.workspace.paths import Workspace

    store, members = open_store(cohort), read_members(gvcfs)
    workspace = Workspace(store.workspace)
    require_consent(workspace, (member.participant_id for member in members), file="list of gVCFs")
    snapshot = add_batch(
        store,
        batch=batch,
        members=members,
        engine=Engine(workers=workers, scheduler=scheduler),
        filters=site_filters(configuration_of(cohort, config)),
    )
    audit.record_use(store.workspace, action="cohort.add", object=batch, consent_hash=denied_hash(workspace))
    typer.echo(str(snapshot.number))


@app.command("snapshots")
def list_snapshots(cohort: CohortOption) -> None:
    """List the snapshots, one JSON object a line.

    Example: baekman cohort snapshots --cohort cohort
    """
    from baekman.cohort.snapshot import numbers, read_snapshot
    from baekman.cohort.store import open_store

    store = open_store(cohort)
    for number in numbers(store):
        snapshot = read_snapshot(store, number)
        typer.echo(
            json.dumps(
                {
                    "snapshot": number,
                    "participants": snapshot.participants,
                    "batches": [entry.name for entry in snapshot.batches],
                    "content": snapshot.content,
                }
            )
        )


@app.command()
def withdraw(
    participants: Annotated[list[str], typer.Argument(help="IDs of the participants.")],
    cohort: CohortOption,
    workers: WorkersOption = 1,
) -> None:
    """Take participants out of the cohort, of every snapshot that counted them and of the tables beside the cohort.

    Of a cohort that is W/cohort these are W/tables: theirs are deleted, others' that counted them are written anew.
    Who is not in the cohort, since they were withdrawn before or the ID is mistyped, is told on stderr.

    Example: baekman cohort withdraw P0123456789ABX --cohort cohort
    """
    from baekman import audit
    from baekman.cohort import rewrite
    from baekman.cohort.index import find_batches
    from baekman.cohort.snapshot import read_snapshot
    from baekman.cohort.store import check_names, open_store
    from baekman.engine.local import Engine
    from baekman.pseudonyms import PARTICIPANT_ID
    from baekman.tables.keys import open_keys
    from baekman.tables.make import withdraw_tables

    check_names(participants, kind="participants", pattern=PARTICIPANT_ID)
    store, engine = open_store(cohort), Engine(workers=workers)
    open_keys(store.workspace)  # others' encrypted tables may have to be written anew
    known = find_batches(store, participants, at=read_snapshot(store))
    for participant in dict.fromkeys(participants):
        if participant not in known:
            typer.echo(f"{participant} is not in the cohort", err=True)
    snapshot = rewrite.withdraw(store, participants, engine=engine)
    withdraw_tables(store, participants, engine=engine)
    audit.record_use(store.workspace, action="cohort.withdraw", object=",".join(participants))
    typer.echo(str(snapshot.number))


@app.command()
def compact(
    cohort: CohortOption,
    below: Annotated[int, typer.Option("--below", min=2, help="Participants of a batch that stays as it is.")] = 1000,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Delete all snapshots but the last so many, with their sites.")
    ] = None,
    workers: WorkersOption = 1,
) -> None:
    """Merge small batches into larger ones; sites and freeze tables stay byte for byte the same.

    Example: baekman cohort compact --cohort cohort
    """
    from baekman import audit
    from baekman.cohort import rewrite
    from baekman.cohort.store import open_store
    from baekman.engine.local import Engine

    store = open_store(cohort)
    snapshot = rewrite.compact(store, below=below, keep=keep, engine=Engine(workers=workers))
    audit.record_use(store.workspace, action="cohort.compact", object=str(snapshot.number))
    typer.echo(str(snapshot.number))


@app.command()
def freeze(
    cohort: CohortOption,
    output: Annotated[Path | None, typer.Option("--output", help="Folder for sites/ and tables/.")] = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
) -> None:
    """Write sites and tables of everyone at the current snapshot; prints the snapshot's number.

    Example: baekman cohort freeze --cohort cohort --output release-1
    """
    from baekman import audit
    from baekman.cohort.store import open_store
    from baekman.engine.local import Engine
    from baekman.tables.freeze import freeze as make_freeze
    from baekman.workspace.denied import denied_hash
    from baekman.workspace.paths import Workspace

    store = open_store(cohort)
    folder = output or cohort.parent / "freeze"
    snapshot = make_freeze(store, output=folder, engine=Engine(workers=workers, scheduler=scheduler))
    audit.record_use(
        store.workspace,
        action="cohort.freeze",
        object=str(snapshot.number),
        output_hash=snapshot.content,
        consent_hash=denied_hash(Workspace(store.workspace)),
    )
    typer.echo(str(snapshot.number))


@app.command()
def verify(
    cohort: CohortOption,
    gvcfs: Annotated[
        Path | None,
        typer.Option("--gvcfs", help="Compare with these too: participant_id <TAB> path [<TAB> sex]."),
    ] = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
) -> None:
    """Read the whole store again and prove its hashes, order and counts; one line per finding, and exit 1 with any.

    With the gVCFs that went in it also proves that the store says what they say.

    Example: baekman cohort verify --cohort cohort --workers 8
    """
    from baekman import audit
    from baekman.cohort.gvcf_list import read_members
    from baekman.cohort.snapshot import numbers
    from baekman.cohort.store import open_store
    from baekman.cohort.verify.gvcfs import compare_gvcfs
    from baekman.cohort.verify.whole import verify as prove
    from baekman.engine.local import Engine
    from baekman.errors import EXIT_FAILED

    members = read_members(gvcfs) if gvcfs else []
    store, engine = open_store(cohort), Engine(workers=workers, scheduler=scheduler)
    findings = prove(store, engine=engine)
    if members and not findings:
        findings = compare_gvcfs(store, members, engine=engine)
    audit.record_use(store.workspace, action="cohort.verify", object=str(max(numbers(store), default=0)))
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(EXIT_FAILED)
