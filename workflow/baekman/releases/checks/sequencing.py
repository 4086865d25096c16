"""The check on sequencing: today's thresholds, not those of the day of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from baekman.config.loading import load_config
from baekman.consent import Scope
from baekman.errors import InputRefused
from baekman.qc.gate import judge
from baekman.qc.metrics import read_metrics
from baekman.qc.thresholds import Thresholds, load_thresholds
from baekman.releases.checks.proposal import Proposal
from baekman.releases.plan import Check, CheckVerdict
from baekman.workspace.paths import Workspace


def sequencing(proposal: Proposal) -> Iterator[Check]:
    """Yield the number of members with genotypes and metrics that do not pass today's thresholds.

    The request says whether they are refused or left out of the genotypes (``below_qc``).
    """
    request = proposal.source.request
    if not request.regions:
        yield Check(code="sequencing", observed=None, limit=0)
        return
    below = sum(
        is_below_qc(proposal.workspace, member.participant_id)
        for _, members in proposal.source.rows.buckets()
        for member in members
        if Scope.GENOME not in member.denied
    )
    verdict: CheckVerdict = "fail" if request.below_qc == "refuse" else "told"
    yield Check(code="sequencing", observed=below, limit=0, verdict=verdict if below else "pass")


def is_below_qc(workspace: Path, participant_id: str) -> bool:
    """Return whether the metrics of a participant are not accepted by today's thresholds; False without metrics."""
    path = Workspace(workspace).participant(participant_id).metrics
    if not path.is_file():
        return False
    return judge(read_metrics(path), _thresholds(workspace)).verdict != "accept"


@cache
def _thresholds(workspace: Path) -> Thresholds:
    try:
        named = load_config(workspace)["qc_thresholds"]
    except InputRefused:  # no configuration, as where a cohort was made elsewhere
        return load_thresholds()
    return load_thresholds(Path(named))
