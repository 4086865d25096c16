"""``baekman step annotate``: the annotation of a cohort after a batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import InsecureOption, SchedulerOption, WorkersOption


def annotate(
    output: Annotated[Path, typer.Option("--output", help="The file for the snapshot and its number of alleles.")],
    settings: Annotated[str, typer.Option(help="`annotate` of the configuration, and `cohort`, as JSON.")],
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Annotate the alleles of the latest snapshot.

    Example: baekman step annotate --settings '{"annotate": {"genes": "genes.gff3.gz"}, …}'
    --output deliveries/D…/annotations.json
    """
    from baekman.engine.local import Engine
    from baekman.steps import annotate_cohort
    from baekman.workspace.paths import Workspace

    engine = Engine(workers=workers, scheduler=scheduler, insecure=insecure)
    annotate_cohort(Workspace(Path()), settings=json.loads(settings), engine=engine, output=output)
