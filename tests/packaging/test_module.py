"""Another workflow that has this one as a module."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import PROJECT, delivery_builder
from support.servers import forks

BARCODE = "HB-0001"
OUTER = f"""
module baekman:
    snakefile:
        "{PROJECT}/workflow/Snakefile"
    config:
        config


use rule * from baekman as baekman_*


rule summary:
    default_target: True
    input:
        rules.baekman_qc.input,
    output:
        "summary.txt",
    shell:
        "echo done > {{output}}"
"""


def test_a_tiny_outer_workflow_takes_a_delivery_through_intake_and_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = delivery_builder.write_reference(tmp_path / "reference")
    builder = delivery_builder.DeliveryBuilder(tmp_path / "inbox", reference)
    delivery_builder.write_gvcf(builder.folder / "1.g.vcf.gz", delivery_builder.gvcf_text(reference, sample=BARCODE))
    builder.add(BARCODE, "1.g.vcf.gz", "gvcf")
    builder.finish()
    workspace = tmp_path / "workspace"
    delivery_builder.make_workspace(workspace, reference, [delivery_builder.registration(BARCODE, 1)])
    (workspace / "config.yaml").write_text(f"reference: {reference}\n", encoding="utf-8")
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "Snakefile").write_text(OUTER, encoding="utf-8")
    words = ("--cores", "2", "--config", f"delivery={builder.folder}", f"workspace={workspace}")
    done = forks.run("snakemake", words, folder=outer, environment={**os.environ, "PWD": str(outer)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (workspace / "summary.txt").read_text() == "done\n"
    (report,) = workspace.glob("return/*/*/return.json")
    assert json.loads(report.read_text(encoding="utf-8"))["gates"] == ["intake", "qc"]
    assert not list(workspace.glob("deliveries/*/orders*"))
