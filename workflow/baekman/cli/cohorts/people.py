"""``baekman cohort report`` and ``relatedness``: the participants of a snapshot."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baekman.cli.options import (
    CORES,
    CohortOption,
    InsecureOption,
    JsonOption,
    KeyFileOption,
    OwnerOption,
    PurposeOption,
    RegistryOption,
    SchedulerOption,
    WorkersOption,
    page_file,
    print_json,
)
from baekman.cli.shared.ended_consent import open_registry_and_sweep
from baekman.cli.shared.opening import note_left_out, opened_cohort
from baekman.cli.shared.query_options import SnapshotOption

if TYPE_CHECKING:
    import pyarrow as pa

    from baekman.api.cohort import Cohort


def report(
    output: Annotated[
        Path, typer.Option("--output", "-o", callback=page_file, help="The page, .html; its numbers come as .json.")
    ],
    cohort: CohortOption = None,
    snapshot: SnapshotOption = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Show counts of few people too: for the operators only.")
    ] = False,
    types: Annotated[
        bool, typer.Option("--types", help="Also by type and institution, which opens the registry.")
    ] = False,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
    purpose: PurposeOption = "",
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Write a page on a snapshot: participants, variants, filters, distributions, batch effects; prints its path.

    Counts of fewer than 11 people are hidden. Participants without consent to the purpose in force are not counted,
    except in the numbers of variants.

    Example: baekman cohort report --workspace W --output cohort.html
    """
    from baekman.query.access import Access
    from baekman.report.cohort.numbers import cohort_numbers
    from baekman.report.cohort.page import write_cohort_report
    from baekman.report.cohort.small_cells import THRESHOLD

    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, workspace=workspace, purpose=purpose, snapshot=snapshot, **engine) as opened:
        access = Access(opened.store, purpose=purpose)
        without, html = access.left_out(opened.snapshot), output.with_suffix(".html")
        access.record("cohort.report", object=str(opened.snapshot.number), question=["exact" if exact else "hidden"])
        numbers = cohort_numbers(
            opened.store,
            opened.snapshot,
            without=without,
            threshold=1 if exact else THRESHOLD,
            engine=opened.engine,
            **(_registered(opened, without, registry=registry, key_file=key_file) if types else {}),
        )
        numbers["relatedness"] = _relatives(opened, without, types=types, threshold=1 if exact else THRESHOLD)
        access.require_unchanged(opened.snapshot, without)
        write_cohort_report(numbers, html=html)
        typer.echo(str(html))
        note_left_out(opened, counted_in="numbers of variants")


def relatedness(
    cohort: CohortOption = None,
    snapshot: SnapshotOption = None,
    memory_mb: Annotated[
        int | None, typer.Option("--memory-mb", min=64, help="Memory of plink2; default: half of the machine's.")
    ] = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
    purpose: PurposeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Compute kinship, principal components and inbreeding of the participants of a snapshot, by plink2.

    Prints the numbers of pairs of relatives, the most related first. The tables lie in the store; `baekman cohort
    report` shows them, and docs/results.md describes them. Participants without consent to the purpose in force are in
    no table and no number. A snapshot that has its relatedness stays as it is.

    Example: baekman cohort relatedness --workspace W
    """
    from baekman.query.access import Access
    from baekman.relatedness.compute import compute
    from baekman.relatedness.stored import degrees
    from baekman.relatedness.summary import lines_of

    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, workspace=workspace, purpose=purpose, snapshot=snapshot, **engine) as opened:
        access = Access(opened.store, purpose=purpose)
        access.record("cohort.relatedness", object=str(opened.snapshot.number))
        done = compute(
            opened.store,
            left_out=access.left_out,
            number=snapshot,
            engine=opened.engine,
            memory_mb=memory_mb,
        )
        counts = degrees(opened.store, done.snapshot)
        if as_json:
            print_json({**done.note, "snapshot": done.snapshot.number, "pairs": counts})
        else:
            typer.echo("\n".join(lines_of(done.snapshot, done.note, counts)))
        note_left_out(opened)


def _registered(
    cohort: Cohort, without: Collection[str], *, registry: str | None, key_file: Path | None
) -> dict[str, Any]:
    """Return the participants of the snapshot by type and sex, and the institution of each batch, by the registry."""
    from baekman.registry.listing import registered_pages
    from baekman.registry.verdict_history import institutions_of
    from baekman.report.cohort.types import count_types

    if cohort.store.is_bare:
        raise typer.BadParameter("a cohort of no workspace has no registry of types", param_hint="--types")
    opened = open_registry_and_sweep(cohort.workspace, registry=registry, key_file=key_file)
    # a rewritten batch has the name of its delivery with a suffix; merged batches are of no single institution
    delivery_of = {batch.name: batch.name.partition(".")[0] for batch in cohort.snapshot.batches}
    names = institutions_of(opened, delivery_of.values())
    return {
        "types": count_types(registered_pages(opened), cohort.store, cohort.snapshot, without=without),
        "institutions": {batch: names[delivery] for batch, delivery in delivery_of.items() if delivery in names},
    }


def _relatives(cohort: Cohort, without: Collection[str], *, types: bool, threshold: int) -> dict[str, Any] | None:
    """Return the numbers on relatives and components of the snapshot; None where they are not computed."""
    from baekman.relatedness.stored import noted, pairs, people
    from baekman.report.cohort.relatives import Relatives, relatives_numbers

    store, snapshot = cohort.store, cohort.snapshot
    note = noted(store, snapshot)
    if note is None:
        return None
    relatives = Relatives(
        note=note,
        pairs=pairs(store, snapshot, without=without),
        people=people(store, snapshot, without=without),
        types=_types(cohort) if types else None,
    )
    return relatives_numbers(store, snapshot, relatives, threshold=threshold)


def _types(cohort: Cohort) -> pa.Table:
    """Return ``participant_id`` and ``type`` of everyone in the registry."""
    import pyarrow as pa

    from baekman.registry.listing import registered_pages

    schema = pa.schema([("participant_id", pa.string()), ("type", pa.string())])
    parts = []
    for page in registered_pages(open_registry_and_sweep(cohort.workspace)):
        ids, kinds, _ = zip(*page, strict=True) if page else ((), (), ())
        parts.append(pa.record_batch([pa.array(ids, pa.string()), pa.array(kinds, pa.string())], schema=schema))
    return pa.Table.from_batches(parts, schema=schema)
