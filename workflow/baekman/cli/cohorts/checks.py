"""``baekman cohort verify`` and ``repair``: the store compared with itself, its gVCFs or a freeze, and mended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from baekman.cli.options import (
    CORES,
    CohortOption,
    ConfigOption,
    InsecureOption,
    JsonOption,
    OwnerOption,
    SchedulerOption,
    WorkersOption,
    print_findings,
)
from baekman.cli.shared.opening import opened_cohort
from baekman.cli.shared.places import is_here, refuse_other_than_freeze
from baekman.errors import InputRefused, Problem


def repair(cohort: CohortOption = None, workspace: OwnerOption = None, workers: WorkersOption = CORES) -> None:
    """Merge damaged or missing sites again from the batches; prints the numbers of their snapshots.

    Batches, store.json and snapshots cannot be made again: restore them from a back-up.

    Example: baekman cohort repair --cohort cohort
    """
    from baekman.cohort.commit import repair

    with (
        opened_cohort(cohort, workspace=workspace, workers=workers) as opened,
        opened.engine.open() as map_tasks,
    ):
        for number in repair(opened.store, map_tasks=map_tasks):
            typer.echo(str(number))


def verify(
    cohort: CohortOption = None,
    gvcfs: Annotated[
        Path | None,
        typer.Option("--gvcfs", help="Compare with these too: participant_id <TAB> path [<TAB> sex]."),
    ] = None,
    freeze: Annotated[
        Path | None,
        typer.Option("--freeze", help="Verify this freeze instead of the store: sites, tables and audit event."),
    ] = None,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the whole store again and prove its hashes, order and counts; a line per finding, and exit 1 with any.

    With --gvcfs it also compares the store with the gVCFs that went in.

    Example: baekman cohort verify --cohort cohort --workers 8

    Example: baekman cohort verify --cohort cohort --freeze release-1
    """
    from baekman.freezes.verification import verify_freeze

    if freeze is not None:
        refuse_other_than_freeze(freeze)
        if cohort is None and workspace is None and not is_here():
            raise InputRefused(
                Problem(
                    file="--workspace",
                    expected="the workspace, or --cohort, that the freeze is of",
                    found="none",
                    action="`baekman verify --freeze DIR` verifies a freeze that stands alone",
                )
            )

    # at snapshot 0, the empty cohort: a snapshot that cannot be read is a finding
    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, snapshot=0, workspace=workspace, **engine) as opened:
        if freeze is not None:
            findings = list(verify_freeze(freeze, opened.store))
        else:
            findings = opened.verify(gvcfs, config=config)
    print_findings(findings, as_json=as_json)
