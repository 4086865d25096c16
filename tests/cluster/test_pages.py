"""The page on a cluster, typed on a real Slurm: every command ends well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import PROJECT
from support.delivery_builder import (
    DeliveryBuilder,
    gvcf_text,
    make_workspace,
    registration,
    write_gvcf,
    write_reference,
)
from support.pages import Reader
from support.servers import slurm
from support.small_release import small_release

pytestmark = pytest.mark.cluster

CHECKOUT = ("Snakefile", "config", "envs", "profiles", "rules", "workflow")
FEW = {"slurm:40": "slurm:2", "baekman watch inbox": "baekman watch inbox --once --quiet-seconds 0"}
ON_DELIVERIES = ("baekman deliver", "baekman watch", "snakemake", "export BAEKMAN_SCHEDULER", "baekman status")


@pytest.fixture
def on_slurm(remembering_cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Put the commands of Slurm into the environment, which a page may change until the end of the test."""
    for name, value in {**remembering_cluster, "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BAEKMAN_SCHEDULER", "")
    monkeypatch.delenv("BAEKMAN_SCHEDULER")
    return remembering_cluster


def test_deliveries_a_freeze_and_an_export_go_through_slurm_as_the_pages_say(
    on_slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = write_reference(tmp_path / "reference")
    rows = [registration(f"A-{number}", number) for number in (1, 2)]
    registry = make_workspace(tmp_path / "W", reference, rows)
    for name, row in zip(("inbox/2026-11", "later/2026-12"), rows, strict=True):
        builder = DeliveryBuilder(tmp_path / name, reference, name=Path(name).name)
        write_gvcf(builder.folder / "1.g.vcf.gz", gvcf_text(reference, sample=row["specimen_id"]))
        builder.add(row["specimen_id"], "1.g.vcf.gz", "gvcf")
        builder.finish()
    for name in CHECKOUT:
        (tmp_path / name).symlink_to(PROJECT / name)
    record = registry.specimen(rows[0]["institution"], rows[0]["specimen_id"])
    assert record is not None
    monkeypatch.setenv("PWD", str(tmp_path))
    names = {**FEW, "call_piece/P…/*": f"gather_calls/{record.participant_id}"}
    names["delivery=inbox/2026-11"] = "delivery=later/2026-12"  # that of plain Snakemake
    Reader(tmp_path, names=names, has_time=True).read("cluster.md", only=ON_DELIVERIES)
    assert len([*(tmp_path / "W" / "deliveries").glob("D*/batch.json")]) == 2
    assert (tmp_path / "cohort.bcf").is_file() and (tmp_path / "freeze-1" / "README.md").is_file()
    jobs = slurm.slurm_says(on_slurm, "squeue", "--states=all", "--noheader", "--format", "%k|%T")
    assert "rule_batch" in jobs and set(re.findall(r"\|(\w+)$", jobs, re.M)) <= {"COMPLETED", "CANCELLED", "COMPLETING"}


@pytest.mark.usefixtures("on_slurm")
def test_a_release_is_built_on_slurm_as_the_page_says(tmp_path: Path) -> None:
    made = small_release(tmp_path, people=12)
    home = made.approve(made.propose())
    Reader(tmp_path, names={**FEW, "R…": home.id}, has_time=True).read("cluster.md", only="baekman release build")
    assert (home.package / "participants.parquet").is_file()
