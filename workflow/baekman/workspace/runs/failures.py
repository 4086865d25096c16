"""Notes on jobs that failed for one specimen, ``deliveries/<D…>/failures/<P…>.json``: the others go on without it.

The gate of a note gives its specimen the verdict ``not_processed``, and the workflow plans no job for it. The next
``baekman deliver`` of the delivery deletes the notes, and so tries these specimens again. Plain ``snakemake`` keeps
them until a run without these specimens has come to its end (``settle_failures``), and deletes them then.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass, replace

from baekman.files.atomic import write_text
from baekman.verdicts import GATES, PROCESS_AGAIN, Gate, Reason, Verdict
from baekman.workspace.paths import DeliveryFolder

NOT_PROCESSED = "not_processed"
MEANING = "a job failed for this specimen, or ran out of time or memory; `observed` is its rule"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A job that failed for one specimen.

    Attributes:
        participant_id: The participant.
        gate: The gate that holds the specimen.
        rule: The rule of the job.
        log: Path of the job's log in the workspace; "" without a log.
        lines: Last lines of the log, without identifying values. They are for the delivery's own report only.
        is_settled: Whether a run without the specimen has come to its end since: the next one tries it again.
    """

    participant_id: str
    gate: Gate
    rule: str
    log: str = ""
    lines: tuple[str, ...] = ()
    is_settled: bool = False

    def verdict(self, specimen_id: str) -> Verdict:
        """Return the verdict that holds the specimen ``specimen_id`` of the participant."""
        reason = Reason(code=NOT_PROCESSED, severity="hold", metric="rule", observed=self.rule, action=PROCESS_AGAIN)
        return Verdict.of(specimen_id=specimen_id, participant_id=self.participant_id, gate=self.gate, reasons=[reason])


def write_failures(folder: DeliveryFolder, failures: Iterable[Failure]) -> None:
    """Write a note for each of ``failures``."""
    for failure in failures:
        write_text(folder.failure(failure.participant_id), json.dumps(asdict(failure), indent=1) + "\n")


def read_failures(folder: DeliveryFolder, gates: Container[Gate] = GATES) -> dict[str, Failure]:
    """Return the failures at ``gates``, by participant ID in the order of the IDs."""
    failures = {}
    for path in sorted(folder.failures.glob("P*.json")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:  # a withdrawal removed it
            continue
        if values["gate"] in gates:
            failures[path.stem] = Failure(**{**values, "lines": tuple(values["lines"])})
    return failures


def clear_failures(folder: DeliveryFolder, gates: Container[Gate], participants: Container[str] | None = None) -> None:
    """Delete the notes at ``gates``, of ``participants`` only if these are named: they are tried again."""
    for participant_id in read_failures(folder, gates):
        if participants is None or participant_id in participants:
            folder.failure(participant_id).unlink(missing_ok=True)


def settle_failures(folder: DeliveryFolder, gates: Container[Gate]) -> None:
    """Note that a run without the specimens that failed at ``gates`` has come to its end."""
    failures = read_failures(folder, gates).values()
    write_failures(folder, (replace(failure, is_settled=True) for failure in failures if not failure.is_settled))


def clear_settled_failures(folder: DeliveryFolder, gates: Container[Gate]) -> None:
    """Delete the notes at ``gates`` that are settled: these specimens are tried again."""
    settled = [failure.participant_id for failure in read_failures(folder, gates).values() if failure.is_settled]
    clear_failures(folder, gates, settled)
