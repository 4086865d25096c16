"""``baekman cohort …``: the cohort store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baekman.cli.cohorts import checks, people
from baekman.cli.options import (
    CORES,
    CohortOption,
    ConfigOption,
    InsecureOption,
    JsonOption,
    OwnerOption,
    PurposeOption,
    SchedulerOption,
    WorkersOption,
    print_json,
)
from baekman.cli.shared.batch_notes import notes_on
from baekman.cli.shared.notes import note
from baekman.cli.shared.opening import BARE, note_left_out, note_unknown_types, opened_cohort
from baekman.cli.shared.places import new_cohort_folder

if TYPE_CHECKING:
    from baekman.cohort.snapshot import Snapshot

app = typer.Typer(help="The cohort store: add batches, withdraw, verify, freeze.", no_args_is_help=True)


@app.command()
def init(
    reference: Annotated[Path, typer.Option("--reference", help="Reference FASTA (plain or bgzip).")],
    cohort: CohortOption = None,
    shards: Annotated[
        Path | None, typer.Option("--shards", help="Shard table; default: the reference is tiled.")
    ] = None,
    config: ConfigOption = None,
    workspace: OwnerOption = None,
) -> None:
    """Create an empty store bound to a reference, of the workspace that it lies in, else bare.

    Example: baekman cohort init --cohort cohort --reference GRCh38.fa
    """
    from baekman.api.opening import create_cohort
    from baekman.genome.par import sex_chromosomes_note

    place = new_cohort_folder(cohort, workspace)
    store = create_cohort(place, reference=reference, shards=shards, config=config, workspace=workspace).store
    typer.echo(f"{len(store.contigs)} contigs, {len(store.shards)} shards")
    if note := sex_chromosomes_note([contig.name for contig in store.contigs], par=store.par_regions):
        typer.echo(note)
    if store.is_bare:
        typer.echo(BARE)


@app.command()
def add(
    batch: Annotated[str, typer.Option("--batch", help="Name of the batch.")],
    gvcfs: Annotated[Path, typer.Option("--gvcfs", help="List: participant_id <TAB> path [<TAB> sex].")],
    cohort: CohortOption = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    config: ConfigOption = None,
    now: Annotated[
        bool, typer.Option("--now", help="Add the batch and all that wait now, whatever cohort.min_batch.")
    ] = False,
    workspace: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a batch of gVCFs and commit a new snapshot; prints its number.

    With fewer participants than cohort.min_batch of the configuration, the batch waits until later ones make it up: a
    line on stderr says so, and the number is that of the latest snapshot.

    Lines on stderr count the values in the gVCFs that were left out or replaced (docs/conformance.md, remarks).

    Example: baekman cohort add --cohort cohort --batch D1 --gvcfs list.tsv --workers 8
    """
    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    # `cohort init` has said that the store is bare; nothing leaves it here
    with opened_cohort(cohort, bare_note="", workspace=workspace, **engine) as opened:
        snapshot = opened.add(batch, gvcfs, config=config, now=now)
        for line in notes_on(opened, snapshot, batch, config=config):
            note(line)
        _print_snapshot(snapshot, as_json=as_json, batch=batch, waiting=opened.waiting)


@app.command()
def replace(
    batch: Annotated[str, typer.Option("--batch", help="Name of the new batch.")],
    gvcfs: Annotated[Path, typer.Option("--gvcfs", help="List: participant_id <TAB> path [<TAB> sex].")],
    cohort: CohortOption = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    config: ConfigOption = None,
    workspace: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace gVCFs of participants of the cohort in one new snapshot, which has only the new ones; prints its number.

    The list has a line for each participant to replace; without a sex they keep theirs. Older snapshots can be read
    as before, until a compaction with --keep deletes them. A replacement never waits for cohort.min_batch. Write the
    tables again with `baekman tables`.

    Example: baekman cohort replace --cohort cohort --batch D1-again --gvcfs list.tsv --workers 8
    """
    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, bare_note="", workspace=workspace, **engine) as opened:
        snapshot = opened.replace(batch, gvcfs, config=config)
        for line in notes_on(opened, snapshot, batch, config=config):
            note(line)
        _print_snapshot(snapshot, as_json=as_json, batch=batch, waiting=opened.waiting)


def _print_snapshot(snapshot: Snapshot, *, as_json: bool, **more: object) -> None:
    """Print the number of a snapshot, or JSON with ``more``."""
    if as_json:
        print_json({"snapshot": snapshot.number, "participants": snapshot.participants} | more)
    else:
        typer.echo(str(snapshot.number))


@app.command("snapshots")
def list_snapshots(cohort: CohortOption = None, workspace: OwnerOption = None, as_json: JsonOption = False) -> None:
    """List the snapshots, a JSON object per line; with --json one document, a list of these objects.

    A line on stderr counts the participants who wait for a batch (cohort.min_batch), if there are any.

    Example: baekman cohort snapshots --cohort cohort
    """
    with opened_cohort(cohort, workspace=workspace) as opened:
        if waiting := opened.waiting:
            subject = "1 participant waits" if waiting == 1 else f"{waiting} participants wait"
            note(f"{subject} for a batch of cohort.min_batch, in no snapshot")
        described = [
            {
                "snapshot": snapshot.number,
                "participants": snapshot.participants,
                "batches": [entry.name for entry in snapshot.batches],
                "content": snapshot.content,
            }
            for snapshot in opened.snapshots()
        ]
        if as_json:
            print_json(described)
        else:
            typer.echo("".join(f"{json.dumps(description)}\n" for description in described), nl=False)


@app.command()
def withdraw(
    participants: Annotated[list[str], typer.Argument(help="IDs of the participants.")],
    cohort: CohortOption = None,
    workers: WorkersOption = CORES,
    workspace: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take participants out of the cohort, of every snapshot that counts them and of the tables next to the cohort.

    For a cohort W/cohort these are W/tables: tables of the participants are deleted, and others' that counted them are
    written again. A line on stderr names each ID that is not in the cohort (withdrawn before, or mistyped).

    Example: baekman cohort withdraw P0123456789ABX --cohort cohort
    """
    from baekman.cohort.gvcf_list import read_waiting
    from baekman.cohort.index import find_batches
    from baekman.pseudonyms import slip

    with opened_cohort(cohort, workspace=workspace, workers=workers) as opened:
        known = set(find_batches(opened.store, participants, at=opened.snapshot))
        known |= {each.member.participant_id for each in read_waiting(opened.store.waiting)}
        snapshot = opened.withdraw(participants)
        absent = [participant for participant in dict.fromkeys(participants) if participant not in known]
        for participant in absent:
            mistake = slip(participant, "P")
            typer.echo(f"{participant} is not in the cohort{f': {mistake}' if mistake else ''}", err=True)
        _print_snapshot(
            snapshot, as_json=as_json, withdrawn=sorted(known.intersection(participants)), not_in_cohort=absent
        )


@app.command()
def compact(
    cohort: CohortOption = None,
    below: Annotated[
        int, typer.Option("--below", min=2, help="A batch with this many participants stays as it is.")
    ] = 1000,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Keep this many snapshots; delete older ones with their sites.")
    ] = None,
    workers: WorkersOption = CORES,
    workspace: OwnerOption = None,
) -> None:
    """Merge small batches into larger ones; sites and tables of a freeze stay byte for byte the same.

    Example: baekman cohort compact --cohort cohort
    """
    with opened_cohort(cohort, workspace=workspace, workers=workers) as opened:
        typer.echo(str(opened.compact(below=below, keep=keep).number))


@app.command()
def annotate(
    cohort: CohortOption = None,
    snapshot: Annotated[
        int | None, typer.Option("--snapshot", help="Number of a snapshot; default: the latest.")
    ] = None,
    config: ConfigOption = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
) -> None:
    """Annotate the alleles of a snapshot from the files of `annotate` in the configuration.

    Genes and consequences by bcftools csq, rsIDs and ClinVar by allele. Alleles that an older snapshot has with the
    same files are taken over. Query them with the view `annotations`.

    Example: baekman cohort annotate --workspace W
    """
    from baekman.annotation.annotate import annotate
    from baekman.annotation.sources import sources_of
    from baekman.cohort.settings import read_settings

    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, workspace=workspace, **engine) as opened:
        settings = read_settings(opened.store.path, config) or {"annotate": {}, "cohort": {"contig_aliases": {}}}
        done = annotate(opened.store, sources_of(settings), number=snapshot, engine=opened.engine)
        typer.echo(f"snapshot {done.snapshot.number}: {done.alleles} alleles annotated, {done.new} of them new")


app.command()(checks.repair)


@app.command()
def freeze(
    cohort: CohortOption = None,
    output: Annotated[Path | None, typer.Option("--output", help="Folder for sites/ and tables/.")] = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
    purpose: PurposeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write sites and tables of everyone at the current snapshot; prints the snapshot's number.

    Next to them lie participants, contigs, settings, a dictionary of all columns, a README and SHA256SUMS, so that the
    folder stands by itself. `baekman verify --freeze` proves it.

    Participants without consent to the purpose in force are left out, and no number counts them.

    Example: baekman cohort freeze --cohort cohort --output release-1
    """
    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, workspace=workspace, purpose=purpose, **engine) as opened:
        folder = opened.store.path.parent if opened.store.is_bare else opened.workspace.root
        place = output or folder / "freeze"
        snapshot = opened.freeze(place)
        shown = snapshot.participants - opened.left_out
        _print_snapshot(snapshot, as_json=as_json, participants=shown, output=str(place))
        note_left_out(opened)
        if not opened.store.is_bare:
            note_unknown_types(place)


app.command()(checks.verify)
app.command()(people.report)
app.command()(people.relatedness)
