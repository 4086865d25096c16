"""The steps that the workflow's rules call; they run in the workspace and know pseudonymous IDs only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import SchedulerOption, WorkersOption
from baekman.verdicts import GateMode
from baekman.workspace.paths import Workspace

HERE = Workspace(Path())  # a step runs in its workspace

app = typer.Typer(help="The steps that the workflow's rules call; they run in the workspace.", no_args_is_help=True)

Delivery = Annotated[str, typer.Option("--delivery", help="A delivery ID, D….")]
Participant = Annotated[str, typer.Option("--participant", help="A participant ID, P….")]
Reference = Annotated[Path, typer.Option("--reference", help="The workspace's reference FASTA.")]
Output = Annotated[Path, typer.Option("--output", help="What to write.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of the tools.")]
Par = Annotated[str, typer.Option("--par", help="BED of the pseudo-autosomal regions, or a reference's name.")]


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
    from baekman.genome.par import find_par
    from baekman.genome.reference import prepare

    prepare(fasta, output=output, par=find_par(par), shards=_path(shards))


@app.command()
def index(fasta: Path, aligner: str = "bwa") -> None:
    """Write the files that an aligner needs beside the reference.

    Example: baekman step index reference/GRCh38.fa --aligner bwa
    """
    from baekman.align import alignment

    alignment.index(fasta, aligner=aligner)


@app.command()
def staged(delivery: Delivery) -> None:
    """Refuse: a staged file is needed that was used and deleted.

    Example: baekman step staged --delivery D…
    """
    from baekman.errors import InputRefused, Problem

    raise InputRefused(
        Problem(
            file=delivery,
            expected="the files that intake staged",
            found="none: they were used and deleted",
            action="receive the delivery again: baekman receive DELIVERY --again",
        )
    )


@app.command()
def align(
    delivery: Delivery,
    participant: Participant,
    reference: Reference,
    output: Output,
    metrics: Annotated[Path, typer.Option()],
    aligner: str = "bwa",
    aligned_input: str = "realign",
    threads: Threads = 1,
) -> None:
    """Align one participant's staged reads, or take over the delivered alignment.

    Example: baekman step align --delivery D… --participant P… --reference reference/GRCh38.fa
    --output participants/P…/aligned.cram --metrics participants/P…/qc/markdup.txt
    """
    from baekman.align import alignment
    from baekman.workspace import specimens

    folder = HERE.delivery(delivery)
    lanes = specimens.of_participant(folder.specimens, participant)
    if aligned_input == "accept" and lanes[0].entry in ("bam", "cram"):
        alignment.accept(Path(lanes[0].file_1), reference=reference, output=output, metrics=metrics, threads=threads)
        return
    alignment.align(
        lanes,
        reference=reference,
        output=output,
        metrics=metrics,
        aligner=aligner,
        threads=threads,
        platform=json.loads(folder.summary.read_text(encoding="utf-8"))["platform"],
    )


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
) -> None:
    """Measure one participant: coverage, reads, contamination, sex, identity. What is not given is not assessed.

    Example: baekman step metrics --delivery D… --participant P… --cram participants/P…/aligned.cram
    --reference reference/GRCh38.fa --output participants/P…/qc/metrics.json
    """
    from baekman.qc import contamination, identity
    from baekman.qc import measure as qc
    from baekman.workspace import sample_check, specimens

    sample_check.require_owner(Path(cram or gvcf), participant=participant)
    row = specimens.of_participant(HERE.delivery(delivery).specimens, participant)[0]
    contamination_file, identity_file = (output.with_name(f"{name}.json") for name in ("contamination", "identity"))
    contamination.measure(_path(cram), reference=reference, sites=_path(sites), output=contamination_file)
    identity.measure(cram=_path(cram), gvcf=_path(gvcf), reference=reference, array=_path(array), output=identity_file)
    qc.measure(
        participant=participant,
        specimen=row.specimen_id,
        registered_sex=row.sex,
        stats=_path(stats),
        mosdepth_regions=_path(depth),
        mosdepth_thresholds=_path(depth_thresholds),
        contamination_file=contamination_file if cram else None,
        identity_file=identity_file,
        output=output,
    )


@app.command()
def verdicts(
    delivery: str,
    thresholds: Annotated[Path, typer.Option()],
    output: Output,
    accepted: Annotated[Path, typer.Option()],
    gate: GateMode = "enforce",
) -> None:
    """Judge a delivery's participants by their metrics; list the gVCFs of those who go on.

    Example: baekman step verdicts D… --thresholds config/qc_thresholds.yaml
    --output deliveries/D…/verdicts/qc.json --accepted deliveries/D…/accepted.tsv
    """
    from baekman.qc.verdicts import judge_delivery

    judge_delivery(HERE, delivery, thresholds=thresholds, gate=gate, output=output, accepted=accepted)


@app.command()
def call(
    cram: Path,
    delivery: Delivery,
    participant: Participant,
    reference: Reference,
    shards: Annotated[Path, typer.Option()],
    output: Output,
    piece: str = "1-of-1",
    caller: str = "bcftools",
    par: Par = "",
    threads: Threads = 1,
) -> None:
    """Call one piece of one participant's gVCF: the shards of group N of M.

    Example: baekman step call participants/P…/aligned.cram --delivery D… --participant P…
    --reference reference/GRCh38.fa --shards reference/shards.tsv --piece 1-of-25 --output 1.g.vcf.gz
    """
    from baekman.call.calling import call_shard
    from baekman.genome.shards import piece_regions, read_shards
    from baekman.workspace import sample_check, specimens

    sample_check.require_owner(cram, participant=participant)
    rows = specimens.of_participant(HERE.delivery(delivery).specimens, participant)
    call_shard(
        cram,
        reference=reference,
        regions=piece_regions(read_shards(shards), piece),
        participant=participant,
        sex=rows[0].sex,
        output=output,
        caller=caller,
        par=Path(par) if Path(par).is_file() else par or None,
        threads=threads,
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
    delivery: str,
    gvcfs: Annotated[Path, typer.Option()],
    reference: Reference,
    shards: Annotated[Path, typer.Option()],
    output: Output,
    thresholds: str = "{}",
    filters: str = "{}",
    par: Par = "",
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
) -> None:
    """Add the accepted participants of a delivery to the cohort, which is made when it is not there.

    Example: baekman step batch D… --gvcfs deliveries/D…/accepted.tsv --reference reference/GRCh38.fa
    --shards reference/shards.tsv --output deliveries/D…/batch.json
    """
    from baekman.engine.local import Engine
    from baekman.steps import CohortSettings, add_delivery

    add_delivery(
        HERE,
        delivery,
        accepted=gvcfs,
        settings=CohortSettings(
            reference=reference,
            shards=shards,
            thresholds=json.loads(thresholds),
            filters=json.loads(filters),
            par=par,
        ),
        engine=Engine(workers=workers, scheduler=scheduler),
        output=output,
    )


@app.command()
def tables(
    batch: Annotated[Path, typer.Option()],
    report: Annotated[Path, typer.Option()],
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="With a key for each participant.")] = False,
) -> None:
    """Write and verify the tables of a batch's participants.

    Example: baekman step tables --batch deliveries/D…/batch.json --report deliveries/D…/report/tables.json
    """
    from baekman.engine.local import Engine
    from baekman.steps import write_tables

    write_tables(
        HERE,
        batch=batch,
        engine=Engine(workers=workers, scheduler=scheduler),
        report=report,
        encrypt=encrypt,
    )


@app.command()
def multiqc(delivery: str, output: Output) -> None:
    """Write the MultiQC report of a delivery's participants.

    Example: baekman step multiqc D… --output deliveries/D…/report/multiqc.html
    """
    from baekman.report.multiqc import write_multiqc

    write_multiqc(HERE, delivery, output=output)


@app.command()
def verdict_table(
    verdicts: list[Path], tsv: Annotated[Path, typer.Option()], html: Annotated[Path, typer.Option()]
) -> None:
    """Write the table of both gates' verdicts.

    Example: baekman step verdict-table intake.json qc.json --tsv verdicts.tsv --html verdicts.html
    """
    from baekman.report.verdict_table import write_verdict_table

    write_verdict_table(verdicts, tsv=tsv, html=html)


@app.command()
def manifest(delivery: str, output: Output, settings: str = "{}") -> None:
    """Write the run manifest: versions, settings, inputs, consent state, snapshot.

    Example: baekman step manifest D… --output deliveries/D…/report/manifest.json
    """
    from baekman.report.run_manifest import write_run_manifest

    write_run_manifest(HERE, delivery, settings=json.loads(settings), output=output)
