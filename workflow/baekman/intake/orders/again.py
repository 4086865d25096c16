"""The specimens that intake judges again: the cause that kept them out at an earlier reception may have changed."""

from __future__ import annotations

from pathlib import Path

from baekman.consent import ConsentState
from baekman.files.digests import sha256_of
from baekman.files.untrusted import FileFault
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.reception import Reception
from baekman.registry.specimen import SpecimenRecord
from baekman.verdicts import Verdict

WANT_CONSENT = frozenset({"no_consent", "consent_expired"})


def judged_again(reception: Reception) -> frozenset[str]:
    """Return the IDs of the specimens to judge again at a delivery that was received before.

    They are those that no job could inspect, those with a new decision of a person, and those that failed only because
    they were not registered, had no consent, or lacked files or array genotypes, which has changed. A specimen that
    came again in a later delivery is none of them.
    """
    registry, delivery = reception.registry, reception.delivery
    records = (registry.specimen(delivery.institution, barcode) for barcode in delivery.specimens)
    return frozenset(
        record.specimen_id
        for record in records
        if record is not None and record.participant_id not in reception.superseded and _is_due(reception, record)
    )


def _is_due(reception: Reception, record: SpecimenRecord) -> bool:
    registry = reception.registry
    verdict = reception.verdicts_before.get(record.specimen_id)
    if verdict is None:  # registered since, or withdrawn, and then it has no verdict that names it
        return not registry.is_withdrawn(record.participant_id)
    codes = {reason.code for reason in verdict.failures}
    if "not_processed" in codes or _has_new_decision(reception, verdict):
        return True
    if verdict.verdict == "accept" and not any(row.specimen_id == record.specimen_id for row in reception.rows_before):
        return True  # a run that judged again was killed between verdicts and rows
    if codes == {"array_genotypes_changed"}:
        return _has_array(record)
    if codes == {"file_missing"}:
        return _has_files(reception, verdict.specimen_id)
    if not codes or not codes <= WANT_CONSENT:
        return False
    return registry.active_consent(record.participant_id) is ConsentState.GRANTED


def _has_array(record: SpecimenRecord) -> bool:
    """Return whether the registered array genotypes are there again."""
    file = Path(record.array_genotypes) if record.array_genotypes else None
    return file is None or (file.is_file() and sha256_of(file) == record.array_digest)


def _has_files(reception: Reception, specimen_id: str) -> bool:
    """Return whether all files of a specimen are there; they came after the manifest, or were lost for a time."""
    registry, delivery = reception.registry, reception.delivery
    for barcode, rows in delivery.specimens.items():
        record = registry.specimen(delivery.institution, barcode)
        if record is not None and record.specimen_id == specimen_id:
            return all(_is_there(DeliveredFile(folder=delivery.folder, row=row, key=None)) for row in rows)
    return False


def _is_there(delivered: DeliveredFile) -> bool:
    try:
        delivered.fingerprint()
    except FileFault:
        return False
    return True


def _has_new_decision(reception: Reception, verdict: Verdict) -> bool:
    """Return whether a person decided on ``verdict`` as it is."""
    decision = reception.decisions.get(verdict.specimen_id)
    return decision is not None and decision.made != verdict.decision and verdict.of_gate in decision.seen
