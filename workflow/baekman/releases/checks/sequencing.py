"""The check on sequencing: today's thresholds, not those of the day of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from baekman.config.loading import load_config
from baekman.consent import Scope
from baekman.errors import InputRefused
from baekman.qc.gate import judge
from baekman.qc.metrics import read_metrics
from baekman.qc.thresholds import load_thresholds
from baekman.releases.checks.proposal import Proposal
from baekman.releases.plan import Check, CheckVerdict
from baekman.workspace.decisions import SpecimenDecision, apply, decisions_in_force
from baekman.workspace.paths import Workspace


def sequencing(proposal: Proposal) -> Iterator[Check]:
    """Yield the number of members with genotypes and metrics that do not pass today's thresholds.

    The request says whether they are refused or left out of the genotypes (``below_qc``).
    """
    request = proposal.source.request
    if not request.regions:
        yield Check(code="sequencing", observed=None, limit=0)
        return
    gate = SequencingGate(proposal.workspace)
    below = sum(
        gate.is_below(member.participant_id)
        for _, members in proposal.source.rows.buckets()
        for member in members
        if Scope.GENOME not in member.denied
    )
    verdict: CheckVerdict = "fail" if request.below_qc == "refuse" else "told"
    yield Check(code="sequencing", observed=below, limit=0, verdict=verdict if below else "pass")


class SequencingGate:
    """The QC gate of a workspace with the thresholds of today and the decisions of persons.

    Raises InputRefused for a faulty configuration of the workspace: other thresholds than its own never count.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = Workspace(workspace)
        self._decisions: dict[str, dict[str, SpecimenDecision]] = {}
        try:
            self._thresholds = load_thresholds(Path(load_config(workspace)["qc_thresholds"]))
        except InputRefused:
            if self.workspace.config.is_file():
                raise
            # no configuration, as where a cohort was made elsewhere
            self._thresholds = load_thresholds()

    def is_below(self, participant_id: str) -> bool:
        """Return whether the metrics of a participant are not accepted; False without metrics.

        A person's decision to accept exactly these values holds.
        """
        folder = self.workspace.participant(participant_id)
        if not folder.metrics.is_file():
            return False
        metrics = read_metrics(folder.metrics)
        verdict = judge(metrics, self._thresholds)
        if verdict.verdict == "accept" or not folder.delivery.is_file():
            return verdict.verdict != "accept"
        decision = self._of(folder.delivery.read_text(encoding="ascii").strip()).get(metrics.specimen_id)
        return apply(verdict, decision, values=metrics.values).verdict != "accept"

    def _of(self, delivery: str) -> dict[str, SpecimenDecision]:
        if delivery not in self._decisions:
            self._decisions[delivery] = decisions_in_force(self.workspace, self.workspace.delivery(delivery))
        return self._decisions[delivery]
