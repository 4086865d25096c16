"""Intake reads the contigs of a gVCF by the same names as ``cohort add``, and refuses a file that was cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.config.loading import load_config
from baekman.intake.receive import receive
from baekman.workspace.paths import Workspace
from support.delivery_builder import (
    DeliveryBuilder,
    gvcf_text,
    make_workspace,
    registration,
    write_gvcf,
    write_reference,
)

RENAMED = (("ID=chr1,", "ID=1,"), ("\nchr1\t", "\n1\t"))
DECOY = "chrUn_1\t1\t.\tA\t<NON_REF>\t.\t.\tEND=9\tGT:GQ:DP:PL\t0/0:60:30:0,60,900\n"


@pytest.mark.parametrize(
    ("section", "decoy", "observed"),
    [
        ("{contig_aliases: {1: chr1}, ignore_contigs: ['chrUn*']}", True, None),
        ("{contig_aliases: {1: chr1}}", True, "2 of ours, 0 with another length or M5, 1 (chrUn_1) unknown"),
        ("{}", False, "1 of ours, 0 with another length or M5, 1 (1) unknown"),
    ],
)
def test_names_of_contigs_hold_at_intake(tmp_path: Path, section: str, decoy: bool, observed: str | None) -> None:
    reference = write_reference(tmp_path)
    workspace = Workspace(tmp_path / "W")
    make_workspace(workspace.root, reference, [registration("S1", 1)], more=f"cohort: {section}\n")
    text = gvcf_text(reference, sample="S1")
    for ours, theirs in RENAMED:
        text = text.replace(ours, theirs)
    if decoy:
        text = text.replace("##ALT", "##contig=<ID=chrUn_1,length=50>\n##ALT", 1) + DECOY
    delivery = DeliveryBuilder(tmp_path / "D", reference)
    write_gvcf(delivery.folder / "S1.g.vcf.gz", text)
    delivery.add("S1", "S1.g.vcf.gz", "gvcf")
    (verdict,) = receive(delivery.finish(), workspace=workspace, config=load_config(workspace.root)).verdicts
    reasons = {reason.code: reason.observed for reason in verdict.reasons if reason.severity != "note"}
    assert reasons.get("reference_mismatch") == observed
    assert (verdict.verdict == "accept") == (observed is None)


def test_a_plain_gvcf_that_was_cut_in_its_last_line_is_truncated(tmp_path: Path) -> None:
    reference = write_reference(tmp_path)
    workspace = Workspace(tmp_path / "W")
    make_workspace(workspace.root, reference, [registration("S1", 1)])
    delivery = DeliveryBuilder(tmp_path / "D", reference)
    (delivery.folder / "S1.g.vcf").write_text(gvcf_text(reference, sample="S1")[:-3])
    delivery.add("S1", "S1.g.vcf", "gvcf")
    (verdict,) = receive(delivery.finish(), workspace=workspace, config=load_config(workspace.root)).verdicts
    assert ("truncated", "a last line without a newline") in [(r.code, r.observed) for r in verdict.reasons]
