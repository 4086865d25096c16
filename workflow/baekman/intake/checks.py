"""The checks of intake: pure functions from the delivery, the contents of files and the registry to findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from baekman.consent import ConsentState
from baekman.files.untrusted import same_name
from baekman.genome.contigs import Contig, differences
from baekman.gvcf.header import shown
from baekman.intake.contents import Contents
from baekman.intake.delivery import SHEET, Delivery
from baekman.intake.examination.reads import check_reads
from baekman.intake.manifest import MANIFEST, ManifestRow
from baekman.intake.reasons import Finding
from baekman.privacy.stream_search import found_in
from baekman.verdicts import Verdict, worst

# Endings of files that may lie in a delivery without being in its manifest.
COMPANIONS = (".bai", ".crai", ".csi", ".tbi", ".gzi", ".fai", ".md5", ".sha256", ".sha256sum", ".txt", ".pdf")
SEQUENCING = (".fastq", ".fq", ".bam", ".cram", ".g.vcf", ".gvcf")
PACKED = (".c4gh", ".gz", ".bgz")

SHOWN_CONTIGS = 3
EMPTY_SIZE = 64  # bytes; gzip of nothing has 20 to 30

CONSENT_CODES = {
    ConsentState.REFUSED: "no_consent",
    ConsentState.ABSENT: "no_consent",
    ConsentState.EXPIRED: "consent_expired",
    ConsentState.WITHDRAWN: "participant_withdrawn",
}


def check_consent(state: ConsentState) -> list[Finding]:
    """Return a finding unless consent to genome sequencing is in force."""
    if state is ConsentState.GRANTED:
        return []
    return [Finding.of(CONSENT_CODES[state], metric="consent", observed=state.value, threshold="granted")]


def accepted_before(
    history: Iterable[tuple[str, str, Verdict]],
    *,
    delivery_id: str,
    has_failed: Callable[[str], bool] = lambda delivery_id: False,
) -> bool:
    """Return whether another delivery than ``delivery_id`` brought the specimen through both gates.

    A gate without a verdict yet counts as passed, except intake, unless the run of that delivery ``has_failed``: it
    processed nobody, and its specimens may come again. ``history`` has (delivery ID, time, verdict),
    oldest first; the last verdict of a gate counts.
    """
    by_delivery: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for delivery, _, verdict in history:
        by_delivery[delivery][verdict.gate] = verdict
    return any(
        worst(verdict.verdict for verdict in gates.values()) == "accept"
        and "intake" in gates
        and ("qc" in gates or not has_failed(delivery))
        for delivery, gates in by_delivery.items()
        if delivery != delivery_id
    )


def check_manifest(delivery: Delivery, *, present: Sequence[str]) -> dict[str, list[Finding]]:
    """Return the findings by barcode that follow from the manifest and from the names of the files ``present``."""
    findings: dict[str, list[Finding]] = {barcode: [] for barcode in delivery.specimens}
    for barcode, rows in delivery.specimens.items():
        findings[barcode] += _check_entries(rows)
    for repeated in _repeated(delivery.rows, lambda row: same_name(row.file)):
        for row in repeated:
            findings[row.barcode].append(Finding.of("file_repeated", rows=(row.row,)))
    # so small a file holds nothing: its content is `empty`, which the institution needs to know
    filled = [row for row in delivery.rows if row.size > EMPTY_SIZE]
    for alike in _repeated(filled, lambda row: row.sha256 or row.md5):
        if len({row.file for row in alike}) > 1:
            for row in alike:
                findings[row.barcode].append(Finding.of("content_repeated", metric="checksum", rows=(row.row,)))
    for file in extra_files(delivery, present=present):
        owner = _owner(file, findings)
        if owner is not None and _is_sequencing(file):
            findings[owner].append(Finding.of("file_extra", metric="files", observed="not in the manifest"))
    return findings


def extra_files(delivery: Delivery, *, present: Sequence[str]) -> list[str]:
    """Return the files ``present``, sorted, that are neither in the manifest nor companions such as indexes."""
    named = {same_name(row.file) for row in delivery.rows} | {SHEET, MANIFEST}
    return sorted(file for file in present if same_name(file) not in named and not file.lower().endswith(COMPANIONS))


def check_names(rows: Iterable[ManifestRow], *, registered: Sequence[str], barcode: str) -> list[Finding]:
    """Return a finding for each file name with an identifier of a person; ``barcode`` is not an identifier."""
    return [
        Finding.of("identifier_in_file_name", metric="kind", observed=", ".join(sorted(kinds)), rows=(row.row,))
        for row in rows
        if (kinds := found_in(row.file, registered, barcode=barcode))
    ]


def check_contents(
    row: ManifestRow,
    contents: Contents,
    *,
    reference: Mapping[str, Contig],
    claims_reference: bool,
    realigns: bool,
) -> list[Finding]:
    """Return the findings of one file.

    Args:
        row: The file's row of the manifest.
        contents: The contents of the file.
        reference: The contigs of our reference, by name.
        claims_reference: The delivery states that it was made with our reference.
        realigns: The delivered alignment will be replaced.
    """
    rows = (row.row,)
    findings = [file_fault(code, text, row) for code, text in contents.faults]
    findings += check_reads(row, contents)
    if row.kind in ("bam", "cram", "gvcf") and contents.header:
        findings += _check_samples(row, contents.samples)
        findings += _check_reference(
            row,
            contents,
            reference=dict(reference),
            claims_reference=claims_reference,
            realigns=realigns and row.kind in ("bam", "cram"),
        )
    for code, kinds in (
        ("identifier_in_header", contents.identifiers),
        ("identifier_in_read_name", contents.read_identifiers),
    ):
        if kinds:
            findings.append(Finding.of(code, metric="kind", observed=", ".join(sorted(kinds)), rows=rows))
    if contents.record_identifiers:
        places = ", ".join(f"{kind} in {place}" for kind, place in sorted(contents.record_identifiers.items()))
        findings.append(Finding.of("identifier_in_record", metric="kind", observed=places, rows=rows))
    return findings


def _check_entries(rows: Sequence[ManifestRow]) -> list[Finding]:
    """Return findings unless a specimen has one form of data, FASTQ in pairs, and at most one gVCF."""
    kinds = {row.kind for row in rows}
    all_rows = tuple(row.row for row in rows)
    entries = {"fastq" if kind.startswith("fastq") else kind for kind in kinds}
    if len(entries) > 1 or (entries == {"gvcf"} and len(rows) > 1):
        return [Finding.of("entries_mixed", metric="entries", observed=len(rows), threshold=1, rows=all_rows)]
    lanes: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        lanes[row.read_group].append(row)
    return [
        Finding.of(
            "mate_missing",
            metric="files of the pair",
            observed=len(lane),
            threshold=2,
            rows=tuple(row.row for row in lane),
        )
        for lane in lanes.values()
        if entries == {"fastq"} and {row.kind for row in lane} != {"fastq_1", "fastq_2"}
    ]


def file_fault(code: str, text: str, row: ManifestRow) -> Finding:
    """Return the finding ``code`` on the file of ``row``; ``text`` describes the fault."""
    threshold = {
        "size_wrong": f"{row.size} bytes",
        "checksum_wrong": "the manifest's checksum",
        "format_wrong": row.kind,
        "truncated": "the whole file",
        "empty": "reads or records",
    }.get(code)
    return Finding.of(code, metric="file", observed=text, threshold=threshold, rows=(row.row,))


def _check_samples(row: ManifestRow, samples: Sequence[str]) -> list[Finding]:
    """Return a finding when the file has other samples than its specimen; the desk knows whether it is another's."""
    if len(samples) > 1:
        return [sample_mismatch(len(samples), rows=(row.row,))]
    if any(sample != row.barcode for sample in samples):
        return [
            Finding.of(
                "sample_unknown",
                metric="samples inside",
                observed="a name that is not the specimen's barcode",
                threshold="its own",
                rows=(row.row,),
            )
        ]
    return []


def sample_mismatch(observed: str | int, *, rows: tuple[int, ...]) -> Finding:
    """Return the finding that a file has the sample of another specimen, or several samples."""
    return Finding.of("sample_mismatch", metric="samples inside", observed=observed, threshold="its own", rows=rows)


def _check_reference(
    row: ManifestRow,
    contents: Contents,
    *,
    reference: dict[str, Contig],
    claims_reference: bool,
    realigns: bool,
) -> list[Finding]:
    """Return a finding when the contigs of the header differ from ours, or records lie on an unknown contig."""
    shared, differing = differences(contents.contigs, reference)
    unknown = [name for name in contents.used_contigs if name not in reference]
    if not realigns and row.kind in ("bam", "cram"):
        unknown += [contig.name for contig in contents.contigs if contig.name not in reference]
    if not unknown and not differing and (shared or not contents.contigs):
        return []
    code = "reference_differs" if realigns and not claims_reference else "reference_mismatch"
    return [
        Finding.of(
            code,
            metric="contigs",
            observed=f"{shared} of ours, {differing} with another length or M5, {_counted(unknown, contents)} unknown",
            threshold="ours, of the same length and M5",
            rows=(row.row,),
        )
    ]


def _counted(names: Sequence[str], contents: Contents) -> str:
    """Return the number of contigs, with the names of the first of them unless an identifier was found in the file."""
    if contents.identifiers or contents.record_identifiers:
        return str(len(names))
    first = ", ".join(map(shown, names[:SHOWN_CONTIGS]))
    return f"{len(names)} ({first}{', …' if len(names) > SHOWN_CONTIGS else ''})" if names else "0"


def _repeated(rows: Iterable[ManifestRow], key: Callable[[ManifestRow], str]) -> Iterable[list[ManifestRow]]:
    groups: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _owner(file: str, barcodes: Iterable[str]) -> str | None:
    """Return the longest of the ``barcodes`` that the name of ``file`` contains; None when there is none."""
    name = file.rsplit("/", 1)[-1]
    return max((barcode for barcode in barcodes if barcode in name), key=len, default=None)


def _is_sequencing(file: str) -> bool:
    name = file.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(SEQUENCING)
