"""Reading the cohort: ``tables``, ``export``, ``query``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baekman.cli.options import (
    CORES,
    CohortOption,
    InsecureOption,
    OwnerOption,
    PurposeOption,
    SchedulerOption,
    WorkersOption,
    print_findings,
)
from baekman.cli.shared.notes import warnings_as_notes
from baekman.cli.shared.opening import note_left_out, note_other_snapshot, opened_cohort
from baekman.cli.shared.places import refuse_other_than_tables
from baekman.cli.shared.query_options import (
    AnswerFileOption,
    AnswerFormatOption,
    ByOption,
    CarriersOption,
    ColumnsOption,
    GeneOption,
    LimitOption,
    MemoryLimitOption,
    MinAcOption,
    ParticipantOption,
    ParticipantsOption,
    RegionOption,
    RegionsOption,
    RsidOption,
    SnapshotOption,
    SpillLimitOption,
    SqlOption,
    TablesOption,
    TimeLimitOption,
    WithOption,
    of_finished_table,
    require_one_question,
)
from baekman.query.limits import MEMORY_LIMIT, SPILL_LIMIT, TIME_LIMIT

if TYPE_CHECKING:
    from baekman.export.selection import Only

app = typer.Typer(help="Reading the cohort.", no_args_is_help=True)


@app.command()
def tables(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the tables.")],
    cohort: CohortOption = None,
    participants: ParticipantsOption = None,
    snapshot: SnapshotOption = None,
    convert: Annotated[
        bool,
        typer.Option("--convert", help="Write nothing; move tables of an earlier version to variants/ and reference/."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Write nothing; compare every byte of the tables with their digests."),
    ] = False,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
    purpose: PurposeOption = "",
) -> None:
    """Write variants and reference blocks of each participant; prints the number of participants.

    With --convert it prints the number of files that it moved. With --verify it prints a line for each file that is
    damaged, missing, added or renamed, and exits with 1 if there is any.

    Example: baekman tables --cohort cohort --output tables --participants P0123456789ABX
    """
    from baekman.tables.files import convert_layout
    from baekman.tables.make import read_participants
    from baekman.tables.seals import verify_tables

    refuse_other_than_tables(output)
    if verify:
        print_findings(verify_tables(output))
        return
    engine: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "insecure": insecure}
    with opened_cohort(cohort, snapshot=snapshot, workspace=workspace, purpose=purpose, **engine) as opened:
        if convert:
            typer.echo(str(convert_layout(output)))
            return
        chosen = read_participants(participants) if participants is not None else None
        typer.echo(str(opened.write_tables(output, participants=chosen)))
        note_left_out(opened, counted_in="frequencies and joint genotypes in tables")


@app.command()
def export(
    format: Annotated[str, typer.Option("--format", help="vcf, bcf, pgen or zarr.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="x.vcf, x.vcf.gz, x.bcf, x.pgen (with .pvar and .psam) or x.vcz.")
    ],
    cohort: CohortOption = None,
    region: RegionOption = None,
    regions: RegionsOption = None,
    participants: ParticipantsOption = None,
    min_ac: MinAcOption = 0,
    snapshot: SnapshotOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Show all genotypes of the callers.")] = False,
    joint: Annotated[bool, typer.Option("--joint", help="Show the joint genotypes.")] = False,
    sites: Annotated[bool, typer.Option("--sites", help="Write one site per line with all of its alleles.")] = False,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    workspace: OwnerOption = None,
    purpose: PurposeOption = "",
) -> None:
    """Write the cohort as one multi-sample file, a column per participant.

    By default a line has one allele, and shows the genotypes that meet the store's thresholds and ./. elsewhere. A line
    belongs to a region when its POS does.

    Participants without consent to the purpose in force have no column; AC and AN do not count them.

    Example: baekman export --cohort cohort --format bcf --region chr20:1-5000000 --output chr20.bcf

    Example: baekman export --format vcf --participants @ids.txt --regions exome.bed --min-ac 1 --output cases.vcf.gz
    """
    from baekman.tables.make import read_participants

    if raw and joint:
        raise typer.BadParameter("--raw and --joint exclude each other")
    mode = "raw" if raw else "joint" if joint else "called"
    options: dict[str, Any] = {
        "may_be_freeze": True,
        "workspace": workspace,
        "purpose": purpose,
        "workers": workers,
        "scheduler": scheduler,
    }
    with opened_cohort(cohort, bare_note="stdout", snapshot=snapshot, insecure=insecure, **options) as opened:
        chosen = read_participants(participants) if participants is not None else None
        only: Only = {"participants": chosen, "regions": regions, "min_ac": min_ac}
        opened.export(output, format=format, region=region, mode=mode, by_position=sites, **only)
        if chosen is None:
            note_left_out(opened)


@app.command()
def query(
    cohort: CohortOption = None,
    region: RegionOption = None,
    participant: ParticipantOption = None,
    gene: GeneOption = None,
    rsid: RsidOption = None,
    carriers: CarriersOption = None,
    by: ByOption = None,
    sql: SqlOption = None,
    own: WithOption = None,
    columns: ColumnsOption = None,
    limit: LimitOption = None,
    format: AnswerFormatOption = None,
    output: AnswerFileOption = None,
    snapshot: SnapshotOption = None,
    tables: TablesOption = None,
    time_limit: TimeLimitOption = TIME_LIMIT,
    memory_limit: MemoryLimitOption = MEMORY_LIMIT,
    spill_limit: SpillLimitOption = SPILL_LIMIT,
    workspace: OwnerOption = None,
    purpose: PurposeOption = "",
) -> None:
    """Print sites of a region, a participant's call rows, carriers of an allele, counts by group, or the answer to SQL.

    A participant's region is that of the finished table in the workspace, if there is one and no --snapshot.

    Example: baekman query --workspace W --participant P0123456789ABX --region chr20:1000000-2000000

    Example: baekman query --carriers chr20:1000001:A:T

    Example: baekman query --region chr20:1000001 --by sex,pheno.diabetes --with pheno.csv

    Example: baekman query --sql "SELECT contig, count(*) FROM sites GROUP BY contig"
    """
    from baekman.query.limits import Limits
    from baekman.query.output import Output, write_answer
    from baekman.query.own_tables import own_tables
    from baekman.query.question import Question
    from baekman.query.views import ANNOTATED, VIEW_NAMES

    parts: dict[str, Any] = {"region": region, "participant": participant, "gene": gene, "rsid": rsid}
    parts |= {"carriers": carriers, "sql": sql}
    require_one_question(parts, {"tables": tables, "by": by, "with": own})
    (answer := Output(format=format, file=output, columns=columns, limit=limit)).check()
    question = Question(
        **parts,
        by=tuple(name.strip() for name in by.split(",")) if by is not None else (),
        tables=tables,
        own=own_tables(own or [], views=(*VIEW_NAMES, ANNOTATED)),
        limits=Limits(time=time_limit, memory=memory_limit, spill=spill_limit),
    )
    with opened_cohort(cohort, snapshot=snapshot, workspace=workspace, purpose=purpose, may_be_freeze=True) as opened:
        if snapshot is None:
            question = of_finished_table(opened, question)
        with warnings_as_notes(), opened.query(question) as relation:
            write_answer(relation, replace(answer, short=question.short_columns))
        if question.tables is not None and participant is not None:
            note_other_snapshot(opened, question.tables, participant)
        if participant is None:
            note_left_out(opened, counted_in="sites (ac, an, af and others)" if question.shows_sites else "")
