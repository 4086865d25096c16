"""The commands that the workflow's rules call; they run in the workspace and know pseudonymous IDs only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import InsecureOption, SchedulerOption, WorkersOption
from baekman.cli.steps import annotation, reports
from baekman.genome.targets import DEFAULT_PADDING
from baekman.verdicts import GateMode
from baekman.workspace.paths import Workspace

HERE = Workspace(Path())  # a step runs in its workspace

app = typer.Typer(help="The steps that the workflow's rules call; they run in the workspace.", no_args_is_help=True)

Delivery = Annotated[str, typer.Option("--delivery", help="A delivery ID, D….")]
DeliveryArgument = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery ID, D….")]
Participant = Annotated[str, typer.Option("--participant", help="A participant ID, P….")]
Reference = Annotated[Path, typer.Option("--reference", help="The workspace's reference FASTA.")]
Shards = Annotated[Path, typer.Option("--shards", help="The workspace's table of shards.")]
Output = Annotated[Path, typer.Option("--output", help="The file to write.")]
Limits = Annotated[Path, typer.Option("--thresholds", help="YAML with the thresholds.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of the tools.")]
Par = Annotated[str, typer.Option("--par", help="BED of the pseudo-autosomal regions, or a reference's name.")]

Targets = Annotated[str, typer.Option("--targets", help="The workspace's BED of target regions; empty: none.")]
Aliases = Annotated[str, typer.Option("--aliases", help="JSON: other names of contigs, by name in files.")]
TargetPadding = Annotated[int, typer.Option("--target-padding", help="Bases around targets that are called too.")]


def _path(text: str) -> Path | None:
    return Path(text) if text else None


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def tool(context: typer.Context) -> None:
    """Run the samtools or bcftools that pysam bundles.

    Example: baekman step tool samtools flagstat aligned.cram
    """
    from baekman.tools import bundled

    match context.args:
        case ["samtools" | "bcftools" as name, subcommand, *rest]:
            raise typer.Exit(bundled.run(name, [subcommand, *rest]))
        case _:
            raise typer.BadParameter("expected samtools or bcftools, one of its commands, and its arguments")


@app.command()
def reference(fasta: Path, output: Path, par: Par = "", shards: str = "") -> None:
    """Put the reference into the workspace, with index, dictionary, depth regions and shards.

    Example: baekman step reference GRCh38.fa reference/GRCh38.fa --par GRCh38
    """
    from baekman.genome.reference import prepare

    prepare(fasta, output=output, par=par, shards=_path(shards))


@app.command()
def targets(
    bed: Path,
    reference: Reference,
    output: Output,
    aliases: Aliases = "{}",
) -> None:
    """Put the target regions into the workspace, sorted and merged, and the depth regions within them.

    Example: baekman step targets exome.bed --reference reference/GRCh38.fa --output reference/targets.bed
    """
    from baekman.genome.reference import prepare_targets

    names = {str(alias): contig for alias, contig in json.loads(aliases).items()}
    prepare_targets(bed, reference=reference, aliases=names, output=output)


@app.command()
def index(fasta: Path, aligner: str = "bwa") -> None:
    """Write the index of an aligner next to the reference.

    Example: baekman step index reference/GRCh38.fa --aligner bwa
    """
    from baekman.align.aligners import Aligner

    Aligner(name=aligner, reference=fasta).write_index()


@app.command()
def inspect(
    delivery: Delivery,
    participant: Participant,
    lane: Annotated[str, typer.Option(help="A lane of several: inspect and align it alone.")] = "",
    aligner: Annotated[str, typer.Option(help="Align FASTQ in the same stream.")] = "",
    reference: str = "",
    threads: Threads = 1,
) -> None:
    """Inspect one specimen of a delivery that is being received, by its order, and stage it if it passes.

    Example: baekman step inspect --delivery D… --participant P…
    """
    from baekman.align.aligners import Aligner
    from baekman.intake.orders.lanes import inspect_lane
    from baekman.intake.specimen import inspect as inspect_specimen

    chosen = Aligner(name=aligner, reference=Path(reference), threads=threads) if aligner else None
    if lane and chosen is not None:
        inspect_lane(HERE, delivery, participant, lane=lane, aligner=chosen)
    else:
        inspect_specimen(HERE, delivery, participant, aligner=chosen)


@app.command()
def merge_lanes(
    delivery: Delivery, participant: Participant, reference: Reference, aligner: str = "bwa", threads: Threads = 1
) -> None:
    """Merge the inspected lanes of one specimen, mark duplicates, and stage the alignment if the specimen passes.

    Example: baekman step merge-lanes --delivery D… --participant P… --reference reference/GRCh38.fa
    """
    from baekman.align.aligners import Aligner
    from baekman.intake.orders import lanes

    chosen = Aligner(name=aligner, reference=reference, threads=threads)
    lanes.merge_lanes(HERE, delivery, participant, aligner=chosen)


@app.command()
def staged(delivery: Delivery) -> None:
    """Refuse: a job needs a staged file that was used and deleted.

    Example: baekman step staged --delivery D…
    """
    from baekman.workspace.specimens import used_files

    raise used_files(delivery)


@app.command()
def align(
    delivery: Delivery,
    participant: Participant,
    reference: Reference,
    output: Output,
    metrics: Annotated[Path, typer.Option(help="The file for the counts of duplicates.")],
    aligner: str = "bwa",
    aligned_input: str = "realign",
    threads: Threads = 1,
) -> None:
    """Align one participant's staged reads, or take over the delivered alignment.

    Example: baekman step align --delivery D… --participant P… --reference reference/GRCh38.fa
    --output participants/P…/aligned.cram --metrics participants/P…/qc/markdup.txt
    """
    from baekman.align.participant import AlignmentOptions, align_participant

    options = AlignmentOptions(aligner=aligner, accepts_aligned=aligned_input == "accept", threads=threads)
    home = HERE.delivery(delivery)
    align_participant(home, participant, reference=reference, options=options, output=output, metrics=metrics)


@app.command()
def metrics(
    delivery: Delivery,
    participant: Participant,
    reference: Reference,
    output: Output,
    cram: str = "",
    gvcf: str = "",
    stats: str = "",
    depth: str = "",
    depth_thresholds: str = "",
    sites: str = "",
    array: str = "",
    targets: Targets = "",
    target_padding: TargetPadding = 0,
    aliases: Aliases = "{}",
) -> None:
    """Measure one participant: coverage, reads, contamination, sex, identity. An absent file is not assessed.

    Example: baekman step metrics --delivery D… --participant P… --cram participants/P…/aligned.cram
    --reference reference/GRCh38.fa --output participants/P…/qc/metrics.json
    """
    from baekman.genome.reference import workspace_targets
    from baekman.qc.participant import Evidence, measure_participant

    evidence = Evidence(
        cram=_path(cram),
        gvcf=_path(gvcf),
        stats=_path(stats),
        depth=_path(depth),
        depth_thresholds=_path(depth_thresholds),
        array=_path(array),
        aliases=json.loads(aliases),
        targets=workspace_targets(_path(targets), reference=reference, padding=target_padding),
    )
    home = HERE.delivery(delivery)
    measure_participant(home, participant, evidence=evidence, reference=reference, sites=_path(sites), output=output)


@app.command()
def verdicts(
    delivery: DeliveryArgument,
    thresholds: Limits,
    output: Output,
    accepted: Annotated[Path, typer.Option(help="The file for the list of those who go on.")],
    gate: GateMode = "enforce",
    decisions: Annotated[int, typer.Option(help="Number of changes of the decisions of persons.")] = 0,
) -> None:
    """Judge a delivery's participants by their metrics, and list the gVCFs of those who go on.

    Example: baekman step verdicts D… --thresholds config/qc_thresholds.yaml
    --output deliveries/D…/verdicts/qc.json --accepted deliveries/D…/accepted.tsv
    """
    from baekman.qc.delivery import judge_delivery
    from baekman.workspace.decisions import require_revision

    require_revision(HERE.delivery(delivery), decisions)
    judge_delivery(HERE, delivery, thresholds=thresholds, gate=gate, output=output, accepted=accepted)


@app.command()
def call(
    cram: Path,
    delivery: Delivery,
    participant: Participant,
    reference: Reference,
    shards: Shards,
    output: Output,
    piece: str = "1-of-1",
    caller: str = "bcftools",
    par: Par = "",
    targets: Targets = "",
    target_padding: TargetPadding = 0,
    threads: Threads = 1,
) -> None:
    """Call one piece of one participant's gVCF: the shards of group N of M.

    Example: baekman step call participants/P…/aligned.cram --delivery D… --participant P…
    --reference reference/GRCh38.fa --shards reference/shards.tsv --piece 1-of-25 --output 1.g.vcf.gz
    """
    from baekman.call.calling import CallOptions
    from baekman.call.participant import call_regions
    from baekman.genome.reference import workspace_targets
    from baekman.genome.shards import piece_regions, read_shards

    call_regions(
        HERE.delivery(delivery),
        participant,
        cram=cram,
        reference=reference,
        regions=piece_regions(read_shards(shards), piece),
        options=CallOptions(
            caller=caller,
            par=par,
            threads=threads,
            targets=workspace_targets(_path(targets), reference=reference, padding=target_padding),
        ),
        output=output,
    )


@app.command()
def gather(pieces: list[Path], output: Output) -> None:
    """Join the pieces of a gVCF in the order of the reference, or take over a delivered one.

    Example: baekman step gather 1.g.vcf.gz 2.g.vcf.gz --output participants/P…/calls.g.vcf.gz
    """
    from baekman.call import calling

    calling.gather(pieces, output=output)


@app.command()
def batch(
    delivery: DeliveryArgument,
    gvcfs: Annotated[Path, typer.Option(help="The list of accepted participants.")],
    reference: Reference,
    shards: Shards,
    output: Output,
    thresholds: str = "{}",
    filters: str = "{}",
    par: Par = "",
    targets: Targets = "",
    target_padding: TargetPadding = DEFAULT_PADDING,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Add the accepted participants of a delivery to the cohort; create the cohort when there is none.

    Example: baekman step batch D… --gvcfs deliveries/D…/accepted.tsv --reference reference/GRCh38.fa
    --shards reference/shards.tsv --output deliveries/D…/batch.json
    """
    from baekman.engine.local import Engine
    from baekman.steps import CohortSettings, add_delivery

    settings = CohortSettings(
        reference=reference,
        shards=shards,
        thresholds=json.loads(thresholds),
        filters=json.loads(filters),
        par=par,
        targets=_path(targets),
        padding=target_padding,
    )
    engine = Engine(workers=workers, scheduler=scheduler, insecure=insecure)
    add_delivery(HERE, delivery, accepted=gvcfs, settings=settings, engine=engine, output=output)


app.command()(annotation.annotate)


@app.command()
def tables(
    batch: Annotated[Path, typer.Option(help="The file that `step batch` wrote.")],
    report: Annotated[Path, typer.Option(help="The file for the numbers of rows.")],
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="With a key for each participant.")] = False,
) -> None:
    """Write and verify the tables of a batch's participants.

    Example: baekman step tables --batch deliveries/D…/batch.json --report deliveries/D…/report/tables.json
    """
    from baekman.engine.local import Engine
    from baekman.steps import write_tables

    engine = Engine(workers=workers, scheduler=scheduler, insecure=insecure)
    write_tables(HERE, batch=batch, engine=engine, report=report, encrypt=encrypt)


for report in (reports.multiqc, reports.verdict_table, reports.delivery_report, reports.manifest):
    app.command()(report)


@app.command()
def release(
    kind: Annotated[str, typer.Argument(help="The kind of the task: spill, bucket, meds, shard, matrix or pgen.")],
    name: Annotated[str, typer.Argument(help="The name of the task.")],
) -> None:
    """Run a task of a release; runs in the folder of its unfinished package.

    Example: baekman step release shard shard-00000
    """
    from baekman.releases.dag.tasks import run_task

    run_task(Path(), kind, name)
