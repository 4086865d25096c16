"""The paths of a workspace."""

from __future__ import annotations

from pathlib import Path

from baekman.workspace import paths
from baekman.workspace.paths import Top, Workspace

DELIVERY = "D0000000000000"
PARTICIPANT = "P0000000000000"


def test_every_entry_at_the_top_has_a_path() -> None:
    workspace = Workspace(Path("w"))
    properties = (name for name, value in vars(Workspace).items() if isinstance(value, property))
    tops = {getattr(workspace, name).relative_to("w").parts[0] for name in properties}
    assert tops == set(Top) - {Top.BENCHMARKS, Top.AUDIT_HEAD}  # only rules write benchmarks, only `audit` the head


def test_jobs_use_paths_relative_to_the_workspace() -> None:
    workspace = Workspace(Path())
    assert str(workspace.delivery(DELIVERY).verdicts("qc")) == f"deliveries/{DELIVERY}/verdicts/qc.json"
    assert str(workspace.participant(PARTICIPANT).gvcf) == f"participants/{PARTICIPANT}/calls.g.vcf.gz"


def test_a_path_in_the_workspace_is_noted_relative_to_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    staged = workspace.delivery(DELIVERY).staged / PARTICIPANT / "calls.g.vcf.gz"
    assert workspace.relative(staged) == f"deliveries/{DELIVERY}/staged/{PARTICIPANT}/calls.g.vcf.gz"


def test_a_message_may_show_every_entry_but_the_return_reports() -> None:
    assert frozenset(Top) - paths.PSEUDONYMOUS == {"return"}
