"""What intake holds against a specimen, as pure functions of what was read and registered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from baekman.consent import ConsentState
from baekman.genome.contigs import Contig, differences
from baekman.intake.contents import Contents
from baekman.intake.delivery import MANIFEST, SHEET, Delivery, ManifestRow
from baekman.intake.reasons import Finding, finding
from baekman.privacy.stream_search import found_in
from baekman.verdicts import Verdict, worst

# what may lie in a delivery beside the files of its manifest
COMPANIONS = (".bai", ".crai", ".csi", ".tbi", ".gzi", ".fai", ".md5", ".sha256", ".sha256sum", ".txt", ".pdf")
SEQUENCING = (".fastq", ".fq", ".bam", ".cram", ".g.vcf", ".gvcf")
PACKED = (".c4gh", ".gz", ".bgz")

CONSENT_CODES = {
    ConsentState.REFUSED: "no_consent",
    ConsentState.ABSENT: "no_consent",
    ConsentState.EXPIRED: "consent_expired",
    ConsentState.WITHDRAWN: "participant_withdrawn",
}


def check_consent(state: ConsentState) -> list[Finding]:
    """Anything but a consent in force to genome sequencing is against the specimen."""
    if state is ConsentState.GRANTED:
        return []
    return [finding(CONSENT_CODES[state], metric="consent", observed=state.value, threshold="granted")]


def accepted_before(history: Iterable[tuple[str, str, Verdict]], *, delivery_id: str) -> bool:
    """Whether a delivery other than ``delivery_id`` brought the specimen through intake and nothing since
    (the QC gate) sent it back. ``history``: (delivery, time, verdict), oldest first.
    """
    by_delivery: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for delivery, _, verdict in history:
        by_delivery[delivery][verdict.gate] = verdict
    return any(
        worst(verdict.verdict for verdict in gates.values()) == "accept" and "intake" in gates
        for delivery, gates in by_delivery.items()
        if delivery != delivery_id
    )


def check_manifest(delivery: Delivery, *, present: Sequence[str]) -> dict[str, list[Finding]]:
    """Findings by specimen label that follow from the manifest and the names of the files ``present``."""
    findings: dict[str, list[Finding]] = {label: [] for label in delivery.specimens}
    for label, rows in delivery.specimens.items():
        findings[label] += _check_entries(rows)
    for repeated in _repeated(delivery.rows, lambda row: row.file):
        for row in repeated:
            findings[row.specimen].append(finding("file_repeated", rows=(row.row,)))
    for alike in _repeated(delivery.rows, lambda row: row.sha256 or row.md5):
        if len({row.file for row in alike}) > 1:
            for row in alike:
                findings[row.specimen].append(finding("content_repeated", metric="checksum", rows=(row.row,)))
    for file in extra_files(delivery, present=present):
        owner = _owner(file, findings)
        if owner is not None and _is_sequencing(file):
            findings[owner].append(finding("file_extra", metric="files", observed="not in the manifest"))
    return findings


def extra_files(delivery: Delivery, *, present: Sequence[str]) -> list[str]:
    """The files ``present`` that the manifest does not name and that go with none of its files, sorted."""
    named = {row.file for row in delivery.rows} | {SHEET, MANIFEST}
    return sorted(file for file in present if file not in named and not file.lower().endswith(COMPANIONS))


def check_names(rows: Iterable[ManifestRow], *, registered: Sequence[str], label: str) -> list[Finding]:
    """Identifiers of a person in the names of delivered files; the specimen's label is none."""
    return [
        finding("identifier_in_file_name", metric="kind", observed=", ".join(sorted(kinds)), rows=(row.row,))
        for row in rows
        if (kinds := found_in(row.file, registered, label=label))
    ]


def check_contents(
    row: ManifestRow,
    contents: Contents,
    *,
    is_another: Callable[[str], bool],
    reference: Mapping[str, Contig],
    claims_reference: bool,
    aligned_anew: bool,
) -> list[Finding]:
    """What one file holds against its specimen.

    ``is_another`` tells whether a sample name is another specimen's; ``claims_reference`` whether the delivery
    says that it was made with our ``reference``; ``aligned_anew`` whether its alignment will not be used.
    """
    rows = (row.row,)
    found = [_content_fault(code, text, row) for code, text in contents.faults]
    if row.kind in ("bam", "cram", "gvcf") and contents.header:
        found += _check_samples(row, contents.samples, is_another=is_another)
        found += _check_reference(
            row,
            contents,
            reference=dict(reference),
            claims_reference=claims_reference,
            aligned_anew=aligned_anew and row.kind in ("bam", "cram"),
        )
    for code, kinds in (
        ("identifier_in_header", contents.identifiers),
        ("identifier_in_read_name", contents.read_identifiers),
    ):
        if kinds:
            found.append(finding(code, metric="kind", observed=", ".join(sorted(kinds)), rows=rows))
    if contents.record_identifiers:
        told = ", ".join(f"{kind} in {place}" for kind, place in sorted(contents.record_identifiers.items()))
        found.append(finding("identifier_in_record", metric="kind", observed=told, rows=rows))
    return found


def check_pairs(rows: Sequence[ManifestRow], contents: Mapping[int, Contents]) -> list[Finding]:
    """Pairs of FASTQ files whose reads are not each other's mates. ``contents`` by manifest row."""
    by_lane: dict[str, dict[str, ManifestRow]] = defaultdict(dict)
    for row in rows:
        by_lane[row.read_group][row.kind] = row
    found = []
    for pair in by_lane.values():
        if not {"fastq_1", "fastq_2"} <= set(pair):
            continue
        first, second = pair["fastq_1"], pair["fastq_2"]
        one, other = contents[first.row], contents[second.row]
        # a file that could not be read to its end has no digest: it has its own finding
        if one.names_digest and other.names_digest and one.names_digest != other.names_digest:
            found.append(
                finding(
                    "pairs_differ",
                    metric="reads",
                    observed=f"{one.records} and {other.records}",
                    threshold="the same names in the same order",
                    rows=(first.row, second.row),
                )
            )
    return found


def _check_entries(rows: Sequence[ManifestRow]) -> list[Finding]:
    """One kind of entry per specimen, FASTQ in pairs, one gVCF."""
    kinds = {row.kind for row in rows}
    all_rows = tuple(row.row for row in rows)
    entries = {"fastq" if kind.startswith("fastq") else kind for kind in kinds}
    if len(entries) > 1 or (entries == {"gvcf"} and len(rows) > 1):
        return [finding("entries_mixed", metric="entries", observed=len(rows), threshold=1, rows=all_rows)]
    lanes: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        lanes[row.read_group].append(row)
    return [
        finding(
            "mate_missing",
            metric="files of the pair",
            observed=len(lane),
            threshold=2,
            rows=tuple(row.row for row in lane),
        )
        for lane in lanes.values()
        if entries == {"fastq"} and {row.kind for row in lane} != {"fastq_1", "fastq_2"}
    ]


def _content_fault(code: str, text: str, row: ManifestRow) -> Finding:
    threshold = {
        "size_wrong": f"{row.size} bytes",
        "checksum_wrong": "the manifest's checksum",
        "format_wrong": row.kind,
        "truncated": "the whole file",
        "empty": "reads or records",
    }.get(code)
    return finding(code, metric="file", observed=text, threshold=threshold, rows=(row.row,))


def _check_samples(row: ManifestRow, samples: Sequence[str], *, is_another: Callable[[str], bool]) -> list[Finding]:
    others = [sample for sample in samples if sample != row.specimen]
    if any(is_another(sample) for sample in others) or len(samples) > 1:
        return [
            finding(
                "sample_mismatch",
                metric="samples inside",
                observed="another specimen's" if len(samples) == 1 else len(samples),
                threshold="its own",
                rows=(row.row,),
            )
        ]
    if others:
        return [
            finding(
                "sample_unknown",
                metric="samples inside",
                observed="a name that is not the specimen's barcode",
                threshold="its own",
                rows=(row.row,),
            )
        ]
    return []


def _check_reference(
    row: ManifestRow,
    contents: Contents,
    *,
    reference: dict[str, Contig],
    claims_reference: bool,
    aligned_anew: bool,
) -> list[Finding]:
    """The contigs of the header against ours; those that records lie on must all be ours."""
    shared, differing = differences(contents.contigs, reference)
    unknown = sum(name not in reference for name in contents.used_contigs)
    if not aligned_anew and row.kind in ("bam", "cram"):
        unknown += sum(contig.name not in reference for contig in contents.contigs)
    if not unknown and not differing and (shared or not contents.contigs):
        return []
    code = "reference_differs" if aligned_anew and not claims_reference else "reference_mismatch"
    return [
        finding(
            code,
            metric="contigs",
            observed=f"{shared} of ours, {differing} with another length or M5, {unknown} unknown",
            threshold="ours, of the same length and M5",
            rows=(row.row,),
        )
    ]


def _repeated(rows: Iterable[ManifestRow], key: Callable[[ManifestRow], str]) -> Iterable[list[ManifestRow]]:
    groups: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _owner(file: str, labels: Iterable[str]) -> str | None:
    """The specimen in whose label's name ``file`` comes; of several the longest."""
    name = file.rsplit("/", 1)[-1]
    return max((label for label in labels if label in name), key=len, default=None)


def _is_sequencing(file: str) -> bool:
    name = file.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(SEQUENCING)
