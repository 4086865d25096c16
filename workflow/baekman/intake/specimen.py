"""One specimen through intake: who it is, what is in its files, and its staged copy when it passes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baekman import pseudonyms
from baekman.files import atomic
from baekman.files.untrusted import FileFault
from baekman.genome.contigs import Contig
from baekman.intake.checks import (
    accepted_before,
    check_consent,
    check_contents,
    check_names,
    check_pairs,
)
from baekman.intake.contents import Contents, examine, vcf_header_of
from baekman.intake.crypt4gh import RecipientKey
from baekman.intake.delivered_file import DeliveredFile, Measured
from baekman.intake.delivery import Delivery, ManifestRow
from baekman.intake.outcome import Outcome, is_withdrawn, keep_outcome, kept_outcome
from baekman.intake.reasons import Finding, finding
from baekman.intake.staging import Lane, Source, stage_alignment, stage_fastq, stage_reads, stage_vcf
from baekman.registry.records import Registry, SpecimenRecord
from baekman.registry.verdict_history import verdict_history
from baekman.verdicts import Verdict
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.specimens import StagedFiles

# SAM's PL values, by what a platform's name contains
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
class Surroundings:
    """What every specimen of a delivery is inspected with. ``home``: the delivery's folder in the workspace."""

    delivery: Delivery
    delivery_id: str
    home: DeliveryFolder
    workspace: Workspace
    registry: Registry
    settings: Mapping[str, Any]
    key: RecipientKey | None
    reference: Path
    contigs: Mapping[str, Contig]

    @property
    def platform(self) -> str:
        """The platform as SAM names it; what the institution wrote is not passed on."""
        said = self.delivery.platform.upper()
        return next((name for name, words in PLATFORMS.items() if any(word in said for word in words)), "ILLUMINA")


def inspect(label: str, findings: list[Finding], *, around: Surroundings) -> Outcome:
    """Inspect the specimen ``label``, about which ``findings`` are known already, and stage it if it passes.

    Files are read only of a specimen that is registered, with consent in force. What a run that was broken
    off had finished is taken over as long as its files were not touched.
    """
    record = around.registry.specimen(around.delivery.institution, label)
    rows = around.delivery.specimens[label]
    if record is None:
        lookalike = around.registry.lookalikes(around.delivery.institution, label)
        code = "barcode_lookalike" if lookalike else "not_registered"
        return Outcome.of(label, pseudonyms.new("S"), None, [finding(code), *findings])
    consent = check_consent(around.registry.active_consent(record.participant_id))
    if is_withdrawn(consent):
        return Outcome.of(label, pseudonyms.new("S"), None, [*consent, *findings])
    registered = around.registry.identifiers_of(record)
    findings = [
        *consent,
        *_check_reuse(around, record),
        *findings,
        *check_names(rows, registered=registered, label=label),
    ]
    if any(one.blocks for one in findings):
        return Outcome.of(label, record.specimen_id, record.participant_id, findings)
    kept = around.home.progress / f"{record.specimen_id}.json"
    fingerprints = _fingerprints(rows, around)
    if (outcome := kept_outcome(kept, label, fingerprints, workspace=around.workspace)) is not None:
        return outcome
    outcome = _examine_and_stage(label, record, findings, registered, around=around)
    outcome = replace(
        outcome,
        fingerprints={
            row: {"fingerprint": fingerprints[row], **noted}
            for row, noted in outcome.fingerprints.items()
            if row in fingerprints
        },
    )
    if outcome.rows:  # a rejection may be the work of a disk that was full
        keep_outcome(kept, outcome)
    return outcome


def already_accepted(around: Surroundings, verdict: Verdict) -> bool:
    """Whether this specimen, or another of its participant, came through in another delivery."""
    if verdict.participant_id is None:
        return False
    return any(
        accepted_before(verdict_history(around.registry, other.specimen_id), delivery_id=around.delivery_id)
        for other in around.registry.specimens_of(verdict.participant_id)
    )


def _check_reuse(around: Surroundings, record: SpecimenRecord) -> list[Finding]:
    registry, delivery_id = around.registry, around.delivery_id
    if accepted_before(verdict_history(registry, record.specimen_id), delivery_id=delivery_id):
        return [finding("specimen_reused", metric="deliveries", observed=2, threshold=1)]
    others = [one for one in registry.specimens_of(record.participant_id) if one != record]
    if any(accepted_before(verdict_history(registry, one.specimen_id), delivery_id=delivery_id) for one in others):
        return [finding("participant_repeated", metric="specimens", observed=2, threshold=1)]
    return []


def _examine_and_stage(
    label: str,
    record: SpecimenRecord,
    findings: list[Finding],
    registered: list[str],
    *,
    around: Surroundings,
) -> Outcome:
    delivery = around.delivery
    rows = delivery.specimens[label]
    delivered = {row.row: DeliveredFile(folder=delivery.folder, row=row, key=around.key) for row in rows}
    contents = {
        number: examine(one, reference=around.reference, registered=registered, label=label)
        for number, one in delivered.items()
    }

    def is_another(name: str) -> bool:
        return name in delivery.specimens or around.registry.specimen(delivery.institution, name) is not None

    for row in rows:
        findings += check_contents(
            row,
            contents[row.row],
            is_another=is_another,
            reference=around.contigs,
            claims_reference=delivery.reference.casefold() == str(around.settings["reference_name"]).casefold(),
            aligned_anew=_aligned_anew(rows, around),
        )
    findings += check_pairs(rows, contents)
    verdict = Verdict.of(
        specimen_id=record.specimen_id,
        participant_id=record.participant_id,
        gate="intake",
        reasons=[one.reason for one in findings],
    )
    staged: list[StagedFiles] = []
    if verdict.passes(around.settings["gates"]["intake"]) and not any(one.blocks for one in findings):
        try:
            staged, notes = _stage(record, delivered, contents, around=around)
            findings += notes
        except FileFault as fault:
            # what the tools that read it would not take, though it was whole
            findings.append(finding(fault.code, metric="file", observed=str(fault)))
    return Outcome.of(
        label,
        record.specimen_id,
        record.participant_id,
        findings,
        rows=staged,
        fingerprints={number: {"sha256": one.sha256} for number, one in contents.items() if one.sha256},
    )


def _unchanged(delivered: DeliveredFile, contents: Contents) -> Iterator[bytes]:
    """The file's plaintext again; ``FileFault`` at its end when it is not what was examined."""
    measured = Measured(delivered.blocks())
    yield from measured
    if measured.sha256 != contents.sha256:
        raise FileFault("checksum_wrong", "another content than a moment ago: it was changed while it was received")


def _source(delivered: DeliveredFile, contents: Contents) -> Source:
    return Source(blocks=_unchanged(delivered, contents), size=delivered.row.size, header=contents.header)


def _stage(
    record: SpecimenRecord,
    delivered: Mapping[int, DeliveredFile],
    contents: Mapping[int, Contents],
    *,
    around: Surroundings,
) -> tuple[list[StagedFiles], list[Finding]]:
    """Write the staged folder of a participant; its rows of ``specimens.tsv``, and what is to be noted."""
    target = around.home.staged / record.participant_id
    shutil.rmtree(target, ignore_errors=True)
    notes: list[Finding] = []
    with atomic.atomic_folder(target) as folder:
        files = _stage_files(record, folder, delivered, contents, around=around, notes=notes)
        array = _stage_array(record, folder)
        if record.array_genotypes and array is None:
            notes.append(finding("array_genotypes_unusable"))

    def relative(file: Path | None) -> str:
        return around.workspace.relative(target / file.name) if file else ""

    return [
        StagedFiles(
            participant_id=record.participant_id,
            specimen_id=record.specimen_id,
            entry=entry,
            lane=lane,
            file_1=relative(first),
            file_2=relative(second),
            sex=record.registered_sex,
            array_genotypes=relative(array),
        )
        for entry, lane, first, second in files
    ], notes


def _stage_files(
    record: SpecimenRecord,
    folder: Path,
    delivered: Mapping[int, DeliveredFile],
    contents: Mapping[int, Contents],
    *,
    around: Surroundings,
    notes: list[Finding],
) -> list[tuple[str, str, Path, Path | None]]:
    """(entry, lane, file, second file) of what was written to ``folder``; what is to be noted goes to ``notes``."""
    rename = bool(around.settings["rename_reads"])
    rows = [one.row for one in delivered.values()]
    kind = rows[0].kind
    if kind == "gvcf":
        (number,) = delivered
        output = folder / "calls.g.vcf.gz"
        stage_vcf(_source(delivered[number], contents[number]), output, sample=record.participant_id)
        return [("gvcf", "L1", output, None)]
    if kind in ("bam", "cram"):
        if not _aligned_anew(rows, around):
            (number,) = delivered
            output = folder / "aligned.cram"
            stage_alignment(
                _source(delivered[number], contents[number]),
                output,
                participant=record.participant_id,
                platform=around.platform,
                reference=around.reference,
                rename=rename,
            )
            return [("cram", "L1", output, None)]
        lanes: list[Lane] = []
        for number, one in delivered.items():
            staged, single = stage_reads(
                _source(one, contents[number]),
                folder,
                reference=around.reference,
                # read groups without reads leave gaps in the numbers
                first_lane=1 + max((int(lane.lane[1:]) for lane in lanes), default=0),
                rename=rename,
            )
            lanes += staged
            if single:
                notes.append(finding("reads_without_mate", metric="reads", observed=single, rows=(number,)))
        return [("fastq", lane.lane, lane.file_1, lane.file_2) for lane in lanes]
    pairs: dict[str, dict[str, DeliveredFile]] = {}
    for one in delivered.values():
        pairs.setdefault(one.row.read_group, {})[one.row.kind] = one
    written: list[tuple[str, str, Path, Path | None]] = []
    for number, pair in enumerate(pairs.values(), start=1):
        mates = [folder / f"L{number}_{mate}.fastq.gz" for mate in (1, 2)]
        for mate, output in zip(("fastq_1", "fastq_2"), mates, strict=True):
            one = pair[mate]
            stage_fastq(_source(one, contents[one.row.row]), output, lane=f"L{number}", rename=rename)
        written.append(("fastq", f"L{number}", mates[0], mates[1]))
    return written


def _stage_array(record: SpecimenRecord, folder: Path) -> Path | None:
    """The registered array genotypes under the participant's ID; None where there are none that can be read."""
    if record.array_genotypes is None:
        return None
    source = Path(record.array_genotypes)
    output = folder / "array.vcf.gz"
    try:
        content = source.read_bytes()
    except OSError:
        return None
    try:
        array = Source(blocks=[content], size=len(content), header=vcf_header_of([content]))
        stage_vcf(array, output, sample=record.participant_id)
    except FileFault:
        output.unlink(missing_ok=True)
        return None
    return output


def _aligned_anew(rows: Any, around: Surroundings) -> bool:
    """Whether a delivered alignment is replaced; several files of one specimen always are."""
    listed: list[ManifestRow] = list(rows)
    return around.settings["aligned_input"] == "realign" or len(listed) > 1


def _fingerprints(rows: tuple[ManifestRow, ...], around: Surroundings) -> dict[int, list[int]]:
    """Manifest row -> size and times of its file; rows whose file cannot be opened are left out."""
    found = {}
    for row in rows:
        try:
            found[row.row] = DeliveredFile(folder=around.delivery.folder, row=row, key=None).fingerprint()
        except FileFault:
            continue
    return found
