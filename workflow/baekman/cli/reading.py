"""Reading the cohort: ``export``, ``query``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.cohort import CohortOption, SchedulerOption, WorkersOption

app = typer.Typer(help="Reading the cohort.", no_args_is_help=True)

RegionOption = Annotated[
    str | None, typer.Option("--region", help="contig or contig:start-end, 1-based, both ends included.")
]
SnapshotOption = Annotated[int | None, typer.Option("--snapshot", help="Number of a snapshot; the latest without.")]


@app.command()
def export(
    cohort: CohortOption,
    format: Annotated[str, typer.Option("--format", help="vcf, bcf, pgen or zarr.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="x.vcf, x.vcf.gz, x.bcf, x.pgen (with .pvar and .psam) or x.vcz.")
    ],
    region: RegionOption = None,
    snapshot: SnapshotOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="All genotypes that the callers gave.")] = False,
    joint: Annotated[bool, typer.Option("--joint", help="The joint genotypes.")] = False,
    sites: Annotated[bool, typer.Option("--sites", help="One site per line with all alleles.")] = False,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
) -> None:
    """Write the cohort as one multi-sample file, a column per participant.

    Genotypes that meet the store's thresholds are shown and ./. elsewhere, one allele per line, unless an option
    says otherwise. A line belongs to a region when its POS does.

    Example: baekman export --cohort cohort --format bcf --region chr20:1-5000000 --output chr20.bcf
    """
    from baekman import export as exports
    from baekman.engine import Engine
    from baekman.region import parse_region
    from baekman.snapshot import read_snapshot
    from baekman.store import open_store

    if raw and joint:
        raise typer.BadParameter("--raw and --joint exclude each other")
    store = open_store(cohort)
    exports.export(
        store,
        read_snapshot(store, snapshot),
        format=format,
        output=output,
        content=exports.Content(
            region=parse_region(region, store=store) if region else None,
            mode="raw" if raw else "joint" if joint else "called",
            by_position=sites,
        ),
        engine=Engine(workers=workers, scheduler=scheduler),
    )
