"""One specimen at intake: its registration, the contents of its files, and its staged copy when it passes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

from baekman.files.untrusted import FileFault
from baekman.intake.checks import check_consent, check_contents, check_names, check_pairs
from baekman.intake.contents import examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.inspection import Inspection, is_withdrawn, read_note, write_note
from baekman.intake.manifest import ManifestRow
from baekman.intake.reasons import Finding
from baekman.intake.reception import Reception
from baekman.intake.staged_specimen import ExaminedSpecimen, stage
from baekman.registry.records import SpecimenRecord
from baekman.verdicts import Verdict
from baekman.workspace.specimens import StagedFiles


def inspect(reception: Reception, barcode: str, findings: Sequence[Finding]) -> Inspection:
    """Inspect the specimen ``barcode``, which has ``findings`` already, and stage it if it passes.

    Files are read only when the specimen is registered and its consent is in force. An inspection that an
    interrupted run finished is used again if the delivered files are untouched.
    """
    institution, registry = reception.delivery.institution, reception.registry
    record = registry.specimen(institution, barcode)
    rows = reception.delivery.specimens[barcode]
    if record is None:
        code = "barcode_lookalike" if registry.lookalikes(institution, barcode) else "not_registered"
        return Inspection.anonymous(barcode, [Finding.of(code), *findings])
    consent = check_consent(registry.active_consent(record.participant_id))
    if is_withdrawn(consent):
        return Inspection.anonymous(barcode, [*consent, *findings])
    registered = registry.identifiers_of(record)
    findings = [
        *consent,
        *_check_reuse(reception, record),
        *findings,
        *check_names(rows, registered=registered, barcode=barcode),
    ]
    specimen_id, participant_id = record.specimen_id, record.participant_id
    if any(finding.blocks for finding in findings):
        return Inspection.of(barcode, findings, specimen_id=specimen_id, participant_id=participant_id)
    note = reception.home.progress / f"{specimen_id}.json"
    fingerprints = _fingerprints(reception, rows)
    noted = read_note(note, barcode=barcode, fingerprints=fingerprints, workspace=reception.workspace)
    if noted is not None:
        return noted
    inspection = _examine_and_stage(reception, barcode, record, findings, registered=registered)
    inspection = replace(
        inspection,
        fingerprints={
            row: {"fingerprint": fingerprints[row], **values}
            for row, values in inspection.fingerprints.items()
            if row in fingerprints
        },
    )
    if inspection.rows:  # a full disk may have caused a rejection: the next run inspects again
        write_note(note, inspection)
    return inspection


def _check_reuse(reception: Reception, record: SpecimenRecord) -> list[Finding]:
    """Return a finding when another delivery brought this specimen, or another of its participant, through."""
    if reception.is_accepted_elsewhere(record.specimen_id):
        return [Finding.of("specimen_reused", metric="deliveries", observed=2, threshold=1)]
    others = [other for other in reception.registry.specimens_of(record.participant_id) if other != record]
    if any(reception.is_accepted_elsewhere(other.specimen_id) for other in others):
        return [Finding.of("participant_repeated", metric="specimens", observed=2, threshold=1)]
    return []


def _examine_and_stage(
    reception: Reception, barcode: str, record: SpecimenRecord, findings: list[Finding], *, registered: list[str]
) -> Inspection:
    delivery = reception.delivery
    rows = delivery.specimens[barcode]
    files = {row.row: DeliveredFile(folder=delivery.folder, row=row, key=reception.key) for row in rows}
    contents = {
        number: examine(delivered, reference=reception.reference, registered=registered, barcode=barcode)
        for number, delivered in files.items()
    }

    def is_another(sample: str) -> bool:
        return sample in delivery.specimens or reception.registry.specimen(delivery.institution, sample) is not None

    for row in rows:
        findings += check_contents(
            row,
            reception.under_our_names(contents[row.row]) if row.kind == "gvcf" else contents[row.row],
            is_another=is_another,
            reference=reception.contigs,
            claims_reference=reception.claims_reference,
            realigns=reception.realigns(rows),
        )
    findings += check_pairs(rows, contents)
    verdict = Verdict.of(
        specimen_id=record.specimen_id,
        participant_id=record.participant_id,
        gate="intake",
        reasons=[finding.reason for finding in findings],
    )
    staged: list[StagedFiles] = []
    if verdict.passes(reception.gate) and not any(finding.blocks for finding in findings):
        try:
            staged, notes = stage(reception, ExaminedSpecimen(record=record, files=files, contents=contents))
            findings += notes
            if any(note.blocks for note in notes):
                shutil.rmtree(reception.home.staged / record.participant_id, ignore_errors=True)
                staged = []
        except FileFault as fault:
            # the tools that stage a file refused it, although it was whole
            findings.append(Finding.of(fault.code, metric="file", observed=str(fault)))
    return Inspection.of(
        barcode,
        findings,
        specimen_id=record.specimen_id,
        participant_id=record.participant_id,
        rows=staged,
        fingerprints={number: {"sha256": read.sha256} for number, read in contents.items() if read.sha256},
    )


def _fingerprints(reception: Reception, rows: Sequence[ManifestRow]) -> dict[int, list[int]]:
    """Return size and times of each file by row of the manifest, without the files that cannot be opened."""
    fingerprints = {}
    for row in rows:
        try:
            delivered = DeliveredFile(folder=reception.delivery.folder, row=row, key=None)
            fingerprints[row.row] = delivered.fingerprint()
        except FileFault:
            continue
    return fingerprints
