"""The steps that write the reports on a delivery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from baekman.workspace.paths import Workspace

HERE = Workspace(Path())  # a step runs in its workspace

DeliveryArgument = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery ID, D….")]
Output = Annotated[Path, typer.Option("--output", help="The file to write.")]
Limits = Annotated[Path, typer.Option("--thresholds", help="YAML with the thresholds.")]


def multiqc(delivery: DeliveryArgument, output: Output) -> None:
    """Write the MultiQC report of a delivery's participants.

    Example: baekman step multiqc D… --output deliveries/D…/report/multiqc.html
    """
    from baekman.report.multiqc import write_multiqc

    write_multiqc(HERE, delivery, output=output)


def verdict_table(
    verdicts: list[Path], tsv: Annotated[Path, typer.Option()], html: Annotated[Path, typer.Option()]
) -> None:
    """Write the table of every gate's verdicts.

    Example: baekman step verdict-table intake.json qc.json call.json --tsv verdicts.tsv --html verdicts.html
    """
    from baekman.report.target_regions import targets_sentence
    from baekman.report.verdict_table import write_verdict_table

    write_verdict_table(verdicts, tsv=tsv, html=html, targets=targets_sentence(HERE, tsv.parents[1].name))


def delivery_report(delivery: DeliveryArgument, thresholds: Limits, html: Annotated[Path, typer.Option()]) -> None:
    """Write the figures on a delivery's specimens and jobs as HTML, and their numbers as JSON next to it.

    Example: baekman step delivery-report D… --thresholds config/qc_thresholds.yaml
    --html deliveries/D…/report/report.html
    """
    from baekman.report.delivery.page import write_delivery_report

    write_delivery_report(HERE, delivery, thresholds=thresholds, html=html)


def manifest(
    delivery: DeliveryArgument,
    output: Output,
    remarks: Annotated[Path, typer.Option(help="The file for the remarks on the gVCFs, .html; a .tsv comes with it.")],
    settings: str = "{}",
) -> None:
    """Write the run manifest (versions, settings, inputs, consent state, snapshot) and the remarks on the gVCFs.

    Example: baekman step manifest D… --output deliveries/D…/report/manifest.json
    --remarks deliveries/D…/report/remarks.html
    """
    from baekman.report.remarks import write_remarks
    from baekman.report.run_manifest import write_run_manifest

    write_remarks(HERE, delivery, html=remarks)
    write_run_manifest(HERE, delivery, settings=json.loads(settings), output=output)
