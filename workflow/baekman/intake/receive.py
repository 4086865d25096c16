"""Intake: a delivery is inspected against what was registered; what passes is staged under pseudonymous IDs.

``receive`` is the only step of the pipeline that sees what an institution calls its specimens. It runs in the
main process, never in a job, as it needs the registry. Everything that it leaves in the workspace is
pseudonymous, except the institution's return report (``return_report``).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from baekman import audit
from baekman.config.loading import load_config
from baekman.errors import InputRefused, Problem
from baekman.files import atomic
from baekman.files.untrusted import FileFault, walk
from baekman.genome.reference import cached_reference
from baekman.intake import return_report
from baekman.intake.checks import CONSENT_CODES, check_consent, check_manifest, extra_files
from baekman.intake.crypt4gh import RecipientKey, recipient_key
from baekman.intake.delivered_file import DeliveredFile, Measured
from baekman.intake.delivery import SHEET, Delivery, read_delivery, require_permission
from baekman.intake.outcome import Outcome
from baekman.intake.reasons import Finding, finding
from baekman.intake.specimen import Surroundings, already_accepted, inspect
from baekman.registry.records import open_registry
from baekman.registry.verdict_history import note_delivery, record_verdicts
from baekman.verdicts import Verdict, read_verdicts, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.paths import DeliveryFolder, Workspace

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of a delivery.

    ``status`` ``same``: it was received before and nothing was done; ``again``: it was, and is staged anew.
    """

    delivery_id: str
    status: Literal["received", "same", "again"]
    verdicts: tuple[Verdict, ...]
    report: Path


def receive(
    folder: Path,
    *,
    workspace: Workspace,
    config: Mapping[str, Any] | None = None,
    registry: Path | str | None = None,
    key_file: Path | None = None,
    crypt4gh_key: Path | None = None,
    workers: int | None = None,
    again: bool = False,
    progress: Progress = lambda done, total: None,
) -> Receipt:
    """Inspect the delivery in ``folder``, stage what passes, write verdicts and the return report.

    ``config``: loaded settings, those of ``workspace`` by default. The same delivery again finishes what was
    broken off, or does nothing; under the same name with other content it is refused. With ``again`` one that was
    received whole is inspected and staged anew, since staged files go when they were used. Raises
    ``InputRefused`` for a malformed delivery, before anything is written, and where a file that had passed
    passes no more.
    """
    delivery = read_delivery(folder)
    settings = config if config is not None else load_config(workspace.root)
    key = recipient_key(crypt4gh_key)
    opened = open_registry(workspace.root, registry=registry, key_file=key_file)
    delivery_id, status = note_delivery(opened, delivery.institution, delivery.name, delivery.digest)
    if status == "changed":
        raise _repeated_name()
    home = workspace.delivery(delivery_id)
    with _lock(workspace.deliveries / f".{delivery_id}.lock"):
        before = _read_summary(home)
        if before is not None:
            _require_same_content(home, delivery, key)
        if before is not None and not again:
            verdicts = tuple(read_verdicts(home.verdicts("intake")))
            report = return_report.folder_of(workspace, delivery.institution, delivery.name)
            return Receipt(delivery_id=delivery_id, status="same", verdicts=verdicts, report=report)
        require_permission(delivery)
        fasta, contigs = cached_reference(Path(settings["reference"]), cache=workspace.intake_cache)
        surroundings = Surroundings(
            delivery=delivery,
            delivery_id=delivery_id,
            home=home,
            workspace=workspace,
            registry=opened,
            settings=settings,
            key=key,
            reference=fasta,
            contigs=contigs,
        )
        outcomes = _inspect_all(surroundings, workers=workers, progress=progress)
        if before is None:
            return _conclude(surroundings, outcomes)
        _require_as_before(surroundings, outcomes)
        return _conclude(surroundings, outcomes, before)


def known(folder: Path, *, workspace: Workspace) -> str | None:
    """The ID of the delivery in ``folder`` when it was received whole; reads the return report alone."""
    delivery = read_delivery(folder)
    report = return_report.read(return_report.folder_of(workspace, delivery.institution, delivery.name))
    if report is None or not workspace.delivery(report["receipt"]).summary.is_file():
        return None
    return str(report["receipt"])


def _inspect_all(around: Surroundings, *, workers: int | None, progress: Progress) -> list[Outcome]:
    """The outcome of every specimen, in the manifest's order; one specimen's failure stops no other."""
    delivery = around.delivery
    staged = around.home.staged
    if staged.is_dir():
        for left in staged.glob(".*.tmp"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
    findings = check_manifest(delivery, present=list(walk(delivery.folder)))
    _note_repeated_participants(around, findings)
    count = workers or min(4, len(os.sched_getaffinity(0)))
    labels = list(delivery.specimens)
    progress(0, len(labels))
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(max_workers=count) as pool:
        running = {label: pool.submit(inspect, label, findings[label], around=around) for label in labels}
        try:
            for label, task in running.items():
                outcomes[label] = task.result()
                progress(len(outcomes), len(labels))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [outcomes[label] for label in labels]


def _note_repeated_participants(around: Surroundings, findings: dict[str, list[Finding]]) -> None:
    """Two specimens of one participant in one delivery: which one to use is not ours to guess."""
    owners: dict[str, list[str]] = {}
    for label in around.delivery.specimens:
        record = around.registry.specimen(around.delivery.institution, label)
        if record is not None:
            owners.setdefault(record.participant_id, []).append(label)
    for labels in owners.values():
        if len(labels) > 1:
            for label in labels:
                findings[label].append(
                    finding("participant_repeated", metric="specimens", observed=len(labels), threshold=1)
                )


def _conclude(around: Surroundings, outcomes: list[Outcome], before: Mapping[str, Any] | None = None) -> Receipt:
    """Write what the delivery came to; ``delivery.json`` is last, and says that all the rest is there.

    ``before``: what it held, of a delivery that is received again.
    """
    home, delivery, opened = around.home, around.delivery, around.registry
    # two deliveries may have brought the same specimen at the same time: one of them is first
    with _lock(around.workspace.deliveries / ".verdicts.lock"):
        outcomes = [_settled(around, outcome) for outcome in outcomes]
        verdicts = tuple(outcome.verdict for outcome in outcomes)
        record_verdicts(opened, around.delivery_id, verdicts)
    write_verdicts(home.verdicts("intake"), verdicts)
    rows = [row for outcome in outcomes for row in outcome.rows]
    specimens.write(home.specimens, rows)
    # whose they are is told, so that a withdrawal finds them
    fingerprints = {
        str(row): {**print_, "specimen": outcome.verdict.specimen_id}
        for outcome in outcomes
        for row, print_ in outcome.fingerprints.items()
    }
    atomic.write_text(home.inputs, json.dumps(fingerprints, indent=1, sort_keys=True) + "\n")
    report = return_report.write_intake(
        around.workspace,
        delivery,
        receipt=around.delivery_id,
        findings={outcome.label: (outcome.verdict.verdict, outcome.findings) for outcome in outcomes},
        extra=extra_files(delivery, present=list(walk(delivery.folder))),
    )
    participants = sorted({row.participant_id for row in rows})
    consent_hash = opened.consent_hash(participants)
    summary = {
        "delivery": around.delivery_id,
        "reference": around.settings["reference_name"],
        "platform": around.platform,
        "consent_hash": consent_hash,
        "received": before["received"] if before else datetime.now(UTC).isoformat(timespec="seconds"),
        "specimens": len(outcomes),
        "accepted": len(participants),
    }
    audit.record(around.workspace.root, action="receive", object=around.delivery_id, consent_hash=consent_hash)
    atomic.write_text(home.summary, json.dumps(summary, indent=1) + "\n")
    shutil.rmtree(home.progress, ignore_errors=True)
    if before:
        # not newer than what was made of them: only what is missing, or was made otherwise, is made again
        received = datetime.fromisoformat(before["received"]).timestamp()
        for file in home.staged.rglob("*"):
            os.utime(file, (received, received))
    return Receipt(
        delivery_id=around.delivery_id, status="again" if before else "received", verdicts=verdicts, report=report
    )


def _settled(around: Surroundings, outcome: Outcome) -> Outcome:
    """``outcome``, rejected after all for what happened while it was inspected.

    Another delivery may have brought the specimen through, or the participant may have withdrawn.
    """
    if not outcome.rows or outcome.verdict.participant_id is None:
        return outcome
    late = check_consent(around.registry.active_consent(outcome.verdict.participant_id))
    if already_accepted(around, outcome.verdict):
        late.append(finding("specimen_reused", metric="deliveries", observed=2, threshold=1))
    if not late:
        return outcome
    shutil.rmtree(around.home.staged / outcome.verdict.participant_id, ignore_errors=True)
    return outcome.rejected(late)


def _read_summary(home: DeliveryFolder) -> dict[str, Any] | None:
    """What ``delivery.json`` says of a delivery that was received whole; None where it was not."""
    file = home.summary
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _require_as_before(around: Surroundings, outcomes: list[Outcome]) -> None:
    """Refuse where the files of a specimen that had passed do not pass any more; a consent may have ended."""
    passed = {row.specimen_id for row in specimens.read(around.home.specimens)}
    lost = [
        Problem(
            file=f"delivery {around.delivery_id}",
            place=f"specimen {outcome.verdict.specimen_id}",
            expected="the files that passed when it was received",
            found=", ".join(one.reason.code for one in outcome.findings if one.blocks) or "none",
            action="put them back as they were and run the same command again",
        )
        for outcome in outcomes
        if outcome.verdict.specimen_id in passed
        and not outcome.rows
        and not any(one.reason.code in CONSENT_CODES.values() for one in outcome.findings)
    ]
    if lost:
        raise InputRefused(lost)


def _require_same_content(home: DeliveryFolder, delivery: Delivery, key: RecipientKey | None) -> None:
    """Refuse a delivery whose files are no longer those that were received; an absent one says nothing.

    Files whose size and times are as they were are not read again.
    """
    noted = json.loads((home.inputs).read_text(encoding="utf-8"))
    for row in delivery.rows:
        before = noted.get(str(row.row))
        delivered = DeliveredFile(folder=delivery.folder, row=row, key=key)
        try:
            if before is None or delivered.fingerprint() == before["fingerprint"]:
                continue
            measured = Measured(delivered.blocks())
            for _ in measured:
                pass
        except FileFault:
            continue
        if measured.sha256 != before["sha256"]:
            raise _repeated_name()


def _repeated_name() -> InputRefused:
    return InputRefused(
        Problem(
            file=SHEET,
            place="delivery",
            expected="a name that no delivery of other content has had",
            found="the name of a delivery that was received with other content",
            action="give the corrected delivery a name of its own",
        )
    )


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Hold ``file`` locked; waits for whoever holds it. A killed process holds nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
