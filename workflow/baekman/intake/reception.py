"""The reception of one delivery: what the inspections of its specimens share, and what concludes it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from baekman import audit
from baekman.align.cram import count_reads
from baekman.consent import ConsentState
from baekman.errors import InputRefused, Problem
from baekman.files.locks import exclusive
from baekman.files.sidecar import read_checked, write_checked
from baekman.files.untrusted import walk
from baekman.intake import return_report
from baekman.intake.checks import CONSENT_CODES, accepted_before, check_consent, extra_files
from baekman.intake.crypt4gh import RecipientKey
from baekman.intake.delivery import Delivery
from baekman.intake.inspection import Inspection
from baekman.intake.reasons import Finding
from baekman.qc.metrics import read_metrics
from baekman.registry.records import Registry
from baekman.registry.verdict_history import record_verdicts, verdict_history
from baekman.verdicts import GateMode, Verdict, read_verdicts, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.current_reads import note_reads
from baekman.workspace.decisions import SpecimenDecision, apply, decisions_in_force
from baekman.workspace.denied import denied_participants, held_denials, withdrawn_participants
from baekman.workspace.paths import DeliveryFolder, ParticipantFolder, Workspace
from baekman.workspace.run_state import is_alive, read_run_state

# Values of PL in SAM, by words in the name of a platform.
PLATFORMS = {
    "DNBSEQ": ("DNBSEQ", "MGI", "BGI"),
    "ELEMENT": ("ELEMENT", "AVITI"),
    "ULTIMA": ("ULTIMA",),
    "SINGULAR": ("SINGULAR",),
    "IONTORRENT": ("ION",),
    "ONT": ("ONT", "NANOPORE"),
    "PACBIO": ("PACBIO", "REVIO", "SEQUEL"),
}


@dataclass(frozen=True, kw_only=True)
class ReceivedDelivery:
    """The result of receiving a delivery.

    ``status`` is ``received``; ``same`` when it was received before and nothing had to be done; or ``again`` when it
    was received before and its files were staged again. ``report`` is the folder of the return report.
    """

    delivery_id: str
    status: Literal["received", "same", "again"]
    verdicts: tuple[Verdict, ...]
    report: Path


@dataclass(frozen=True, kw_only=True)
class Reception:
    """The delivery and everything that its reception needs.

    ``home`` is the delivery's folder in the workspace. ``key`` opens encrypted files. ``judged_again``: the specimens
    to judge of a delivery that was received before, by ID; None is all of them.
    """

    delivery: Delivery
    home: DeliveryFolder
    workspace: Workspace
    registry: Registry
    settings: Mapping[str, Any]
    key: RecipientKey | None
    judged_again: frozenset[str] | None = None

    @property
    def platform(self) -> str:
        """The platform as SAM names it; the institution's own words are not passed on."""
        words = self.delivery.platform.upper()
        return next((name for name, parts in PLATFORMS.items() if any(part in words for part in parts)), "ILLUMINA")

    @property
    def claims_reference(self) -> bool:
        """True if the delivery states that it was made with our reference."""
        return self.delivery.reference.casefold() == str(self.settings["reference_name"]).casefold()

    @cached_property
    def superseded(self) -> frozenset[str]:
        """The participants of whom a later delivery brought data; what was found in this one stands."""
        return specimens.superseded_in(self.workspace, self.home.id) - self.coming_again

    @cached_property
    def coming_again(self) -> frozenset[str]:
        """The participants with earlier reads for whom a person chose those of this delivery, to be taken on now."""
        taken_on = {row.specimen_id for row in self.rows_before}
        return frozenset(
            decision.participant_id
            for decision in self.decisions.values()
            if self.use_of_reads(decision.specimen_id) and decision.specimen_id not in taken_on
        )

    def use_of_reads(self, specimen_id: str) -> Literal["", "merge", "replace"]:
        """Return the use of a specimen's reads where its participant has earlier ones, as a person decided."""
        decision = self.decisions.get(specimen_id)
        return decision.made.reads if decision is not None and decision.made.decision == "accept" else ""

    @cached_property
    def verdicts_before(self) -> Mapping[str, Verdict]:
        """The verdicts of an earlier reception of the delivery, by specimen ID."""
        file = self.home.verdicts("intake")
        return {verdict.specimen_id: verdict for verdict in read_verdicts(file)} if file.is_file() else {}

    @cached_property
    def rows_before(self) -> Sequence[specimens.StagedFiles]:
        """The rows of ``specimens.tsv`` of an earlier reception of the delivery."""
        return specimens.read(self.home.specimens) if self.home.specimens.is_file() else []

    @cached_property
    def inputs_before(self) -> Mapping[str, dict[str, Any]]:
        """The content of ``inputs.json`` of an earlier reception of the delivery."""
        return json.loads(read_checked(self.home.inputs)) if self.home.inputs.is_file() else {}

    def fingerprints_before(self, specimen_id: str) -> dict[int, dict[str, Any]]:
        """Return the fingerprints of a specimen's files at an earlier reception, by row of the manifest."""
        return {
            int(row): {name: value for name, value in values.items() if name != "specimen"}
            for row, values in self.inputs_before.items()
            if values.get("specimen") == specimen_id
        }

    @cached_property
    def decisions(self) -> Mapping[str, SpecimenDecision]:
        """The decisions of persons on specimens of the delivery that are in force, by specimen ID."""
        return decisions_in_force(self.workspace, self.home)

    def stands(self, specimen_id: str, participant_id: str | None) -> bool:
        """Return whether the inspection of a specimen at an earlier reception stands."""
        is_kept = self.judged_again is not None and specimen_id not in self.judged_again
        return specimen_id in self.verdicts_before and (is_kept or participant_id in self.superseded)

    def is_accepted_elsewhere(self, specimen_id: str) -> bool:
        """Return whether another delivery brought the specimen through both gates, or may still do so."""
        history = verdict_history(self.registry, specimen_id)
        return accepted_before(history, delivery_id=self.home.id, has_failed=self._has_failed)

    def _has_failed(self, delivery_id: str) -> bool:
        """Return whether the last run on a delivery ended with failed jobs."""
        folder = self.workspace.delivery(delivery_id)
        state = read_run_state(folder)
        return state is not None and state.state == "failed" and not is_alive(folder, state)


def conclude(
    reception: Reception, inspections: Sequence[Inspection], before: Mapping[str, Any] | None = None
) -> ReceivedDelivery:
    """Write verdicts, ``specimens.tsv``, the return report and, last, the summary: intake is complete with it.

    ``before`` is the earlier summary of a delivery that is received again.
    """
    # two deliveries may have brought the same specimen at the same time: the first of them to get here keeps it
    lock = reception.workspace.deliveries / ".verdicts.lock"
    verdicts_lock = exclusive(lock, waits_for="the verdicts of another delivery to be recorded")
    # a denial that is acknowledged before is in the verdicts; a withdrawal after finds all that is written here
    with verdicts_lock, held_denials(reception.workspace):
        settled = [_settled(reception, inspection) for inspection in inspections]
        return _conclude(reception, [_decided(reception, inspection) for inspection in settled], before)


def _conclude(
    reception: Reception, inspections: Sequence[Inspection], before: Mapping[str, Any] | None
) -> ReceivedDelivery:
    home, delivery, registry = reception.home, reception.delivery, reception.registry
    staged_before = {row.participant_id for row in reception.rows_before}
    verdicts = tuple(inspection.verdict for inspection in inspections)
    rows = [row for inspection in inspections for row in inspection.rows]
    participants = sorted({row.participant_id for row in rows})
    consent_hash = registry.consent_hash(participants)
    audit.record(reception.workspace.root, action="receive", object=home.id, consent_hash=consent_hash)
    _unstage_others(home.staged, participants)
    _take_over(reception, rows)  # before the verdicts: a run after a kill judges again what has no new verdict
    specimens.note_delivery(reception.workspace, home.id, sorted({*participants} - reception.superseded))
    record_verdicts(registry, home.id, verdicts)
    write_verdicts(home.verdicts("intake"), verdicts)
    specimens.write(home.specimens, rows)
    _write_inputs(home, inspections)
    report = return_report.write_intake(
        reception.workspace,
        delivery,
        delivery_id=home.id,
        inspections=inspections,
        extra=extra_files(delivery, present=list(walk(delivery.folder))),
    )
    summary = {
        "delivery": home.id,
        "reference": reception.settings["reference_name"],
        "platform": reception.platform,
        "consent_hash": consent_hash,
        "received": before["received"] if before else datetime.now(UTC).isoformat(timespec="seconds"),
        "specimens": len(inspections),
        "accepted": len(participants),
    }
    write_checked(home.summary, json.dumps(summary, indent=1) + "\n")
    if before:
        _set_times([home.staged / name for name in staged_before], datetime.fromisoformat(before["received"]))
    return ReceivedDelivery(
        delivery_id=home.id, status="again" if before else "received", verdicts=verdicts, report=report
    )


def _settled(reception: Reception, inspection: Inspection) -> Inspection:
    """Return ``inspection``, rejected if something happened during it.

    Another delivery may have brought the specimen through, or the participant may have withdrawn.
    """
    participant_id = inspection.verdict.participant_id
    if not inspection.rows or participant_id is None:
        return inspection
    late = check_consent(_consent_in_force(reception, participant_id))
    own = [] if participant_id in reception.superseded else reception.registry.specimens_of(participant_id)
    is_again = any(reception.is_accepted_elsewhere(specimen.specimen_id) for specimen in own)
    if is_again and not reception.use_of_reads(inspection.verdict.specimen_id):
        late.append(Finding.of("specimen_reused", metric="deliveries", observed=2, threshold=1))
    if not late:
        return inspection
    shutil.rmtree(reception.home.staged / participant_id, ignore_errors=True)
    return inspection.rejected(late)


def _decided(reception: Reception, inspection: Inspection) -> Inspection:
    """Return ``inspection`` after the decision of a person; nothing is staged of a specimen that does not go on."""
    judged = inspection.verdict
    if reception.stands(judged.specimen_id, judged.participant_id):
        return inspection
    mode: GateMode = reception.settings["gates"]["intake"]
    verdict = apply(replace(judged, mode=mode), reception.decisions.get(judged.specimen_id))
    added = [Finding(reason=reason) for reason in verdict.reasons if reason not in judged.reasons]
    rows = inspection.rows if verdict.passes(mode) else ()
    return replace(inspection, verdict=verdict, findings=(*inspection.findings, *added), rows=rows)


def _take_over(reception: Reception, rows: Iterable[specimens.StagedFiles]) -> None:
    """Let the reads of ``rows`` count for participants with earlier reads, where a person decided so."""
    for participant_id, specimen_id in sorted({(row.participant_id, row.specimen_id) for row in rows}):
        use = reception.use_of_reads(specimen_id)
        if use and participant_id not in reception.superseded:
            folder = reception.workspace.participant(participant_id)
            note_reads(folder, delivery_id=reception.home.id, use=use, count=partial(_reads_of, folder))


def _reads_of(folder: ParticipantFolder) -> int:
    """Return the number of reads in a participant's alignment: that of QC if it is no older, else they are counted."""
    if folder.metrics.is_file() and folder.metrics.stat().st_mtime_ns >= folder.cram.stat().st_mtime_ns:
        handover = read_metrics(folder.metrics).handover
        if handover is not None and handover.unit == "reads":
            return handover.observed
    return count_reads(folder.cram)


def _unstage_others(staged: Path, participants: Sequence[str]) -> None:
    """Delete what is staged of anybody but ``participants``: an intake that was killed may have accepted them."""
    for folder in staged.iterdir() if staged.is_dir() else ():
        if folder.name not in participants:
            shutil.rmtree(folder, ignore_errors=True)


def _consent_in_force(reception: Reception, participant_id: str) -> ConsentState:
    """Return the state in the registry; a denial of a command that is under way, or was killed, counts too."""
    state = reception.registry.active_consent(participant_id)
    if participant_id in withdrawn_participants(reception.workspace):
        return ConsentState.WITHDRAWN
    if state is ConsentState.GRANTED and participant_id in denied_participants(reception.workspace):
        return ConsentState.REFUSED
    return state


def _write_inputs(home: DeliveryFolder, inspections: Sequence[Inspection]) -> None:
    """Write checksum and times of each delivered file, with its specimen, so that a withdrawal removes them."""
    fingerprints = {
        str(row): {**values, "specimen": inspection.verdict.specimen_id}
        for inspection in inspections
        for row, values in inspection.fingerprints.items()
    }
    write_checked(home.inputs, json.dumps(fingerprints, indent=1, sort_keys=True) + "\n")


def _set_times(folders: Iterable[Path], received: datetime) -> None:
    """Make files that were staged again as old as the delivery, so that jobs with current outputs do not run."""
    for file in (file for folder in folders for file in folder.rglob("*")):
        if file.is_file() and file.stat().st_nlink > 1:
            continue  # a job took it, so it is an output too
        os.utime(file, (received.timestamp(), received.timestamp()))


def require_as_before(reception: Reception, inspections: Iterable[Inspection]) -> None:
    """Raise InputRefused when files that passed earlier do not pass now; a consent may have ended."""
    passed = {row.specimen_id for row in specimens.read(reception.home.specimens)}
    problems = [
        Problem(
            file=f"delivery {reception.home.id}",
            place=f"specimen {inspection.verdict.specimen_id}",
            expected="the files that passed when it was received",
            found=", ".join(finding.reason.code for finding in inspection.findings if finding.blocks) or "none",
            action="put them back as they were and run the same command again",
        )
        for inspection in inspections
        if inspection.verdict.specimen_id in passed
        and not inspection.rows
        and not any(finding.reason.code in CONSENT_CODES.values() for finding in inspection.findings)
    ]
    if problems:
        raise InputRefused(problems)
