"""The desk of intake: it opens the registry, checks what needs no content, and orders the inspection of the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from baekman.align.cram import last_lane
from baekman.align.staged_alignment import Recipe, is_made_by
from baekman.files.untrusted import walk
from baekman.genome.reference import cached_reference
from baekman.intake.checks import check_consent, check_manifest, check_names, file_fault, sample_mismatch
from baekman.intake.delivery import FileStates
from baekman.intake.inspection import Inspection, is_withdrawn, read_note
from baekman.intake.manifest import ManifestRow
from baekman.intake.orders.order import Order, is_blocked, order_settings, unsealed_samples
from baekman.intake.reasons import Finding
from baekman.intake.reception import Reception
from baekman.key_ring import KeyRing
from baekman.registry.specimen import SpecimenRecord
from baekman.workspace.current_reads import alignment_before
from baekman.workspace.paths import ARRAY
from baekman.workspace.runs.failures import read_failures


@dataclass(frozen=True, kw_only=True)
class NeededFiles:
    """The staged files that jobs need: those of ``everyone``, or names of files by participant."""

    everyone: bool = False
    files: Mapping[str, Collection[str]] = field(default_factory=dict)

    def includes(self, participant_id: str) -> bool:
        """Return whether a job needs a staged file of the participant."""
        return self.everyone or bool(self.files.get(participant_id))

    def is_array_only(self, participant_id: str) -> bool:
        """Return whether jobs need the array genotypes of the participant, and no reads or calls."""
        return not self.everyone and set(self.files.get(participant_id, ())) == {ARRAY}


@dataclass(kw_only=True)
class Desk:
    """The work of one reception: inspections that need no job, and orders for the others, by barcode."""

    inspections: dict[str, Inspection] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)


def check_specimens(reception: Reception, states: FileStates, *, needed: NeededFiles) -> Desk:
    """Check each specimen of the delivery by registry, manifest and states of files; write no order yet.

    An inspection that an earlier run finished is used again if the delivered files are untouched and the staged files
    that are ``needed`` are there; an alignment among them must be by the present settings. Other notes are deleted.
    """
    delivery, home = reception.delivery, reception.home
    for abandoned in home.staged.glob(".*.tmp"):  # left by a process that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    records = {barcode: reception.registry.specimen(delivery.institution, barcode) for barcode in delivery.specimens}
    findings = check_manifest(delivery, present=list(walk(delivery.folder)))
    _note_repeated_participants(records, findings)
    desk = Desk()
    for barcode, rows in delivery.specimens.items():
        record = records[barcode]
        checked = _Checked(barcode, rows, states)
        answer = (
            _unregistered(reception, barcode, findings[barcode])
            if record is None
            else checked.answer(reception, record, findings[barcode])
        )
        if isinstance(answer, Order):
            _add(desk, reception, answer, needed)
        else:
            desk.inspections[barcode] = answer
    return desk


def _add(desk: Desk, reception: Reception, order: Order, needed: NeededFiles) -> None:
    """Add ``order`` to the desk, or the inspection that an earlier run finished where it is enough."""
    note = reception.home.note(order.participant_id)
    is_array_only = needed.is_array_only(order.participant_id)
    needs_reads = needed.includes(order.participant_id) and not is_array_only
    noted = read_note(
        note,
        barcode=order.barcode,
        fingerprints=order.fingerprints,
        workspace=reception.workspace if needs_reads else None,
    )
    if noted is None or not noted.rows or noted.samples:  # a full disk may have caused a rejection
        is_finished = False
    else:
        is_finished = not needs_reads or _is_current(reception, order, noted)
    if noted is not None and is_finished:
        desk.inspections[order.barcode] = noted
        if is_array_only:
            desk.orders[order.barcode] = replace(order, noted=json.loads(note.read_text(encoding="utf-8")))
    else:
        note.unlink(missing_ok=True)
        desk.orders[order.barcode] = order


def _is_current(reception: Reception, order: Order, noted: Inspection) -> bool:
    """Return whether the staged alignment of an inspection, if it has one, was made by the present settings."""
    if noted.rows[0].entry != "aligned":
        return True
    settings, workspace = reception.settings, reception.workspace
    _, contigs = cached_reference(Path(settings["reference"]), cache=workspace.intake_cache)
    recipe = Recipe.of(settings["aligner"], contigs.values())
    return is_made_by(workspace.root / noted.rows[0].file_1, recipe, order=order.digest)


def collect(reception: Reception, desk: Desk, ring: KeyRing | None) -> list[Inspection]:
    """Return the inspection of each specimen in the manifest's order, those of orders from the notes of their jobs.

    An order without a note was not carried out: its specimen is held. ``ring`` opens what jobs sealed.
    """
    inspections = []
    for barcode in reception.delivery.specimens:
        inspection = desk.inspections.get(barcode)
        if inspection is None:
            order = desk.orders[barcode]
            inspection = read_note(
                reception.home.note(order.participant_id),
                barcode=barcode,
                fingerprints=order.fingerprints,
                workspace=reception.workspace,
            )
            inspection = (inspection and _with_samples(reception, order, inspection, ring)) or _not_processed(
                reception, order
            )
        inspections.append(inspection)
    return inspections


@dataclass(frozen=True)
class _Checked:
    """A specimen of the delivery at the desk."""

    barcode: str
    rows: Sequence[ManifestRow]
    states: FileStates

    def answer(self, reception: Reception, record: SpecimenRecord, findings: Sequence[Finding]) -> Inspection | Order:
        """Return the inspection of a registered specimen when nothing must be read, else the order for it."""
        registry = reception.registry
        consent = check_consent(registry.active_consent(record.participant_id))
        if is_withdrawn(consent):
            return Inspection.anonymous(self.barcode, [*consent, *findings])
        decision = reception.decisions.get(record.specimen_id)
        is_rejected = decision is not None and decision.made.decision == "reject"
        if reception.stands(record.specimen_id, record.participant_id) or (
            is_rejected and record.specimen_id in reception.verdicts_before
        ):
            return _as_before(reception, self.barcode, record)
        identifiers = registry.identifiers_of(record)
        findings = [
            *consent,
            *_check_reuse(reception, record),
            *_check_merge(reception, record, self.rows),
            *findings,
            *check_names(self.rows, registered=identifiers, barcode=self.barcode),
            *(
                file_fault(fault.code, str(fault), row)
                for row in self.rows
                if (fault := self.states.faults.get(row.row)) is not None
            ),
            *self._sizes(),
        ]
        if is_blocked(findings, decision):
            return Inspection.of(
                self.barcode, findings, specimen_id=record.specimen_id, participant_id=record.participant_id
            )
        return Order(
            delivery=reception.home.id,
            folder=reception.delivery.folder.resolve(),
            barcode=self.barcode,
            rows=tuple(self.rows),
            specimen_id=record.specimen_id,
            participant_id=record.participant_id,
            sex=record.registered_sex,
            array_genotypes=Path(record.array_genotypes).resolve() if record.array_genotypes else None,
            array_digest=record.array_digest,
            identifiers=tuple(identifiers),
            findings=tuple(findings),
            fingerprints=self.states.of(self.rows),
            settings=order_settings(reception.settings),
            platform=reception.platform,
            claims_reference=reception.claims_reference,
            secret=reception.key.secret if reception.key else None,
            decision=decision,
            first_lane=_first_lane(reception, record),
        )

    def _sizes(self) -> list[Finding]:
        """Return a finding for each file of another size than the manifest says.

        The size of an encrypted file is that of its plaintext, which only a job can know.
        """
        sizes = {row: fingerprint[0] for row, fingerprint in self.states.of(self.rows).items()}
        return [
            file_fault("size_wrong", f"{sizes[row.row]} bytes", row)
            for row in self.rows
            if not row.encrypted and sizes.get(row.row, row.size) != row.size
        ]


def _as_before(reception: Reception, barcode: str, record: SpecimenRecord) -> Inspection:
    """Return the inspection that stands in the verdicts of the earlier reception."""
    verdict = reception.verdicts_before[record.specimen_id]
    note = reception.home.note(record.participant_id)
    noted = read_note(note, barcode=barcode, fingerprints=None, workspace=None)
    is_of_note = noted is not None and noted.verdict.reasons == verdict.reasons
    return Inspection(
        barcode=barcode,
        verdict=verdict,
        findings=noted.findings if noted and is_of_note else tuple(Finding(reason=each) for each in verdict.reasons),
        rows=tuple(row for row in reception.rows_before if row.specimen_id == record.specimen_id),
        fingerprints=reception.fingerprints_before(record.specimen_id),
    )


def _unregistered(reception: Reception, barcode: str, findings: Sequence[Finding]) -> Inspection:
    lookalikes = reception.registry.lookalikes(reception.delivery.institution, barcode)
    code = "barcode_lookalike" if lookalikes else "not_registered"
    return Inspection.anonymous(barcode, [Finding.of(code), *findings])


def _check_reuse(reception: Reception, record: SpecimenRecord) -> list[Finding]:
    """Return a finding when another delivery brought this specimen, or another of its participant, through."""
    if reception.is_accepted_elsewhere(record.specimen_id):
        return [Finding.of("specimen_reused", metric="deliveries", observed=2, threshold=1)]
    others = [other for other in reception.registry.specimens_of(record.participant_id) if other != record]
    if any(reception.is_accepted_elsewhere(other.specimen_id) for other in others):
        return [Finding.of("participant_repeated", metric="specimens", observed=2, threshold=1)]
    return []


def _check_merge(reception: Reception, record: SpecimenRecord, rows: Sequence[ManifestRow]) -> list[Finding]:
    """Return a finding when reads are to be merged with earlier ones, and one of both is a gVCF."""
    folder = reception.workspace.participant(record.participant_id)
    if reception.use_of_reads(record.specimen_id) != "merge":
        return []
    has_reads = alignment_before(folder, delivery_id=reception.home.id).is_file()
    if has_reads and all(row.kind != "gvcf" for row in rows):
        return []
    return [Finding.of("entries_mixed", metric="entries", observed="reads and a gVCF", threshold="reads")]


def _first_lane(reception: Reception, record: SpecimenRecord) -> int:
    """Return the number of the first lane of a specimen; lanes of the reads that it is merged with come before."""
    if reception.use_of_reads(record.specimen_id) != "merge":
        return 1
    folder = reception.workspace.participant(record.participant_id)
    return 1 + last_lane(alignment_before(folder, delivery_id=reception.home.id))


def _note_repeated_participants(
    records: Mapping[str, SpecimenRecord | None], findings: Mapping[str, list[Finding]]
) -> None:
    """Add a finding to each of several specimens of one participant: the institution must choose one of them."""
    barcodes_of: dict[str, list[str]] = {}
    for barcode, record in records.items():
        if record is not None:
            barcodes_of.setdefault(record.participant_id, []).append(barcode)
    for barcodes in barcodes_of.values():
        if len(barcodes) > 1:
            for barcode in barcodes:
                findings[barcode].append(
                    Finding.of("participant_repeated", metric="specimens", observed=len(barcodes), threshold=1)
                )


def _with_samples(
    reception: Reception, order: Order, inspection: Inspection, ring: KeyRing | None
) -> Inspection | None:
    """Return ``inspection`` after a look at the sample names that its job did not know; None when they are sealed.

    A name that is the barcode of another specimen is a swap.
    """
    if not inspection.samples:
        return inspection
    if ring is None:
        return None
    delivery = reception.delivery
    swapped = {
        row
        for row, samples in unsealed_samples(ring, order, inspection.samples).items()
        if any(
            sample in delivery.specimens or reception.registry.specimen(delivery.institution, sample) is not None
            for sample in samples
        )
    }
    findings = [
        sample_mismatch("another specimen's", rows=finding.rows)
        if finding.reason.code == "sample_unknown" and swapped.issuperset(finding.rows)
        else finding
        for finding in inspection.findings
    ]
    return inspection.with_findings(findings)


def _not_processed(reception: Reception, order: Order) -> Inspection:
    """Return the inspection of a specimen with an order that no job could carry out."""
    failure = read_failures(reception.home, ("intake",)).get(order.participant_id)
    rule = failure.rule if failure else order.rule
    findings = [*order.findings, Finding.of("not_processed", metric="rule", observed=rule)]
    return Inspection.of(order.barcode, findings, specimen_id=order.specimen_id, participant_id=order.participant_id)
