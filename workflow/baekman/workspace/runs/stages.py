"""The stages of a delivery in their order, and the rules of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from baekman.workspace.paths import DeliveryFolder

STAGES = ("intake", "align", "qc", "call", "cohort", "tables", "report", "finished")
# rule -> its stage: the name of its file in rules/
STAGE_OF_RULE: Mapping[str, str] = {
    "inspect": "intake",
    "inspect_and_align": "intake",
    "inspect_lane": "intake",
    "merge_lanes": "intake",
    "inspected": "intake",
    "staged_file": "intake",
    "reference": "align",
    "targets": "align",
    "aligner_index": "align",
    "align_reads": "align",
    "alignment_statistics": "qc",
    "depth": "qc",
    "metrics": "qc",
    "verdicts": "qc",
    "call_piece": "call",
    "gather_calls": "call",
    "batch": "cohort",
    "annotate": "cohort",
    "write_tables": "tables",
    "multiqc": "report",
    "verdict_table": "report",
    "delivery_report": "report",
    "run_manifest": "report",
}


def stage_of_rules(rules: Iterable[str]) -> str:
    """Return the earliest stage of ``rules``; "" where none of them has a stage."""
    stages = {STAGE_OF_RULE.get(rule, rule) for rule in rules}
    return next((stage for stage in STAGES if stage in stages), "")


def stage_of_files(folder: DeliveryFolder) -> str:
    """Return the stage of the delivery in ``folder``, by the results that are there."""
    if not folder.summary.is_file():
        return "intake"
    results = (
        (folder.run_manifest, "finished"),
        (folder.report / "tables.json", "report"),
        (folder.batch, "tables"),
        (folder.accepted, "call"),
    )
    return next((stage for file, stage in results if file.is_file()), "align")
