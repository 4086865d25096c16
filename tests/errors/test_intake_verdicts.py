"""Each thing that can be wrong with a specimen has its own reason code, and stops nobody else."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest
from baekman.intake.reasons import REASON_KINDS
from baekman.intake.receive import receive
from baekman.intake.reception import ReceivedDelivery
from baekman.verdicts import Verdict
from baekman.workspace.paths import Workspace
from support.delivery_builder import (
    CONTIGS,
    INSTITUTION,
    DeliveryBuilder,
    bases,
    fastq,
    gvcf_text,
    make_workspace,
    registration,
    write_alignment,
    write_fastq,
    write_gvcf,
    write_reference,
)

# label -> (verdict, codes); the labels say what is done to the specimen below
EXPECTED = {
    "GOOD-FASTQ": ("accept", []),
    "GOOD-LANES": ("accept", []),
    "GOOD-BAM": ("accept", []),
    "GOOD-CRAM": ("accept", []),
    "GOOD-GVCF": ("accept", []),
    "GOOD-NAMED-INSIDE": ("accept", []),
    "NOT-REGISTERED": ("reject", ["not_registered"]),
    "LOOKALIKE-0": ("reject", ["barcode_lookalike"]),
    "CONSENT-REFUSED": ("reject", ["no_consent"]),
    "CONSENT-LATER": ("reject", ["no_consent"]),
    "CONSENT-EXPIRED": ("reject", ["consent_expired"]),
    "WITHDRAWN": ("reject", ["participant_withdrawn"]),
    "TWICE-1": ("hold", ["participant_repeated"]),
    "TWICE-2": ("hold", ["participant_repeated"]),
    "OTHER-HOSPITALS": ("reject", ["not_registered"]),
    "FILE-MISSING": ("reject", ["file_missing"]),
    "FILE-REPEATED": ("reject", ["file_repeated"]),
    "FILE-EXTRA": ("hold", ["file_extra"]),
    "CONTENT-1": ("reject", ["content_repeated"]),
    "CONTENT-2": ("reject", ["content_repeated"]),
    "MATE-MISSING": ("reject", ["mate_missing"]),
    "ENTRIES-MIXED": ("reject", ["entries_mixed"]),
    "PATH-UP": ("reject", ["path_unsafe"]),
    "PATH-ABSOLUTE": ("reject", ["path_unsafe"]),
    "PATH-UP-GVCF": ("reject", ["path_unsafe"]),
    "A-LINK": ("reject", ["symbolic_link"]),
    "A-LINK-GVCF": ("reject", ["symbolic_link"]),
    "LINKED-FOLDER": ("reject", ["symbolic_link"]),
    "NAMED-PIPE": ("reject", ["not_a_file"]),
    "A-FOLDER": ("reject", ["not_a_file"]),
    "WRONG-SIZE": ("reject", ["size_wrong"]),
    "WRONG-SUM": ("reject", ["checksum_wrong"]),
    "GZIP-TRUNCATED": ("reject", ["truncated"]),
    "BGZF-NO-END": ("reject", ["truncated"]),
    "BAM-NO-END": ("reject", ["truncated"]),
    "CRAM-NO-END": ("reject", ["truncated"]),
    "BAM-CUT": ("reject", ["unreadable", "truncated"]),
    "GZIP-DAMAGED": ("reject", ["unreadable"]),
    "FASTQ-MALFORMED": ("reject", ["unreadable"]),
    "FASTQ-NUL": ("reject", ["unreadable"]),
    "GVCF-UNSORTED": ("reject", ["unreadable"]),
    "GVCF-MALFORMED": ("reject", ["unreadable"]),
    "NO-READS": ("reject", ["empty"]),
    "BAM-IS-TEXT": ("reject", ["format_wrong"]),
    "A-BOMB": ("reject", ["expansion_bomb"]),
    "LONG-LINE": ("reject", ["unreadable"]),
    "PAIRS-COUNT": ("reject", ["pairs_differ"]),
    "PAIRS-ORDER": ("reject", ["pairs_differ"]),
    "ENCRYPTED-NO-KEY-GVCF": ("reject", ["decryption_failed"]),
    "ENCRYPTED-NO-KEY": ("reject", ["decryption_failed"]),
    "REFERENCE-LENGTH": ("reject", ["reference_mismatch"]),
    "REFERENCE-M5": ("reject", ["reference_mismatch"]),
    "REFERENCE-GVCF": ("reject", ["reference_mismatch"]),
    "SAMPLE-ANOTHER": ("reject", ["sample_mismatch"]),
    "SAMPLE-TWO": ("reject", ["sample_mismatch"]),
    "SAMPLE-UNKNOWN": ("hold", ["sample_unknown"]),
    "NAME-IN-HEADER": ("reject", ["identifier_in_header"]),
    "NUMBER-IN-VCF": ("reject", ["identifier_in_header"]),
    "PHONE-IN-COMMENT": ("reject", ["identifier_in_read_name"]),
    "SUBJECT-IN-READ": ("reject", ["identifier_in_read_name"]),
    "SUBJECT-IN-FILE": ("reject", ["identifier_in_file_name"]),
    "NAME-IN-TAG": ("reject", ["identifier_in_record"]),
    "PHONE-IN-INFO": ("reject", ["identifier_in_record"]),
}
SPECIAL = {
    "CONSENT-REFUSED": {"consent": "refused"},
    "CONSENT-LATER": {"consent_from": "2999-01-01"},
    "CONSENT-EXPIRED": {"consent_to": "2025-02-01"},
    "TWICE-1": {"participant": "HB-SUBJECT-TWICE"},
    "TWICE-2": {"participant": "HB-SUBJECT-TWICE"},
    "NAME-IN-HEADER": {"name": "김한빛"},
    "OTHER-HOSPITALS": {"institution": "Another Hospital"},
}


def build(folder: Path, reference: Path) -> Path:
    """The delivery: one specimen per line of ``EXPECTED``, each with one fault."""
    b = DeliveryBuilder(folder, reference)
    d = b.folder
    seeds = {label: number for number, label in enumerate(EXPECTED, start=100)}

    def pair(label: str, **more: object) -> tuple[Path, Path]:
        return b.pair(label, seed=seeds[label], **more)  # type: ignore[arg-type]

    def alignment(label: str, suffix: str = "bam", sample: str | None = "", **more: object) -> Path:
        path = d / f"{label}.{suffix}"
        own = label if sample == "" else sample
        write_alignment(path, reference, sample=own, seed=seeds[label], **more)  # type: ignore[arg-type]
        return path

    def gvcf(label: str, text: str | None = None, **more: object) -> Path:
        path = d / f"{label}.g.vcf.gz"
        write_gvcf(path, gvcf_text(reference, sample=label, **more) if text is None else text)  # type: ignore[arg-type]
        b.add(label, path.name, "gvcf")
        return path

    pair("GOOD-FASTQ")
    pair("GOOD-LANES")
    b.pair("GOOD-LANES", seed=1, lane="LANE2")
    alignment("GOOD-BAM", groups=("LANE.1", "LANE.2", "UNUSED"))
    b.add("GOOD-BAM", "GOOD-BAM.bam", "bam")
    alignment("GOOD-CRAM", "cram")
    b.add("GOOD-CRAM", "GOOD-CRAM.cram", "cram")
    gvcf("GOOD-GVCF", meta=["##sample=GOOD-GVCF"])
    pair("GOOD-NAMED-INSIDE", name=lambda number: f"GOOD-NAMED-INSIDE.{number}")
    for label in ("NOT-REGISTERED", "CONSENT-REFUSED", "CONSENT-LATER", "CONSENT-EXPIRED", "WITHDRAWN"):
        pair(label)
    pair("LOOKALIKE-0")
    for label in ("TWICE-1", "TWICE-2", "OTHER-HOSPITALS"):
        pair(label)

    pair("FILE-MISSING")[1].unlink()
    first, _ = pair("FILE-REPEATED")
    b.add("FILE-REPEATED", first.name, "fastq_1", "LANE2")
    b.add("FILE-REPEATED", "FILE-REPEATED_LANE1_R2.fastq.gz", "fastq_2", "LANE2")
    pair("FILE-EXTRA")
    write_fastq(d / "FILE-EXTRA_LANE2_R1.fastq.gz", fastq(3, 1))
    pair("CONTENT-1")
    for mate in (1, 2):
        (d / f"CONTENT-2_R{mate}.fastq.gz").write_bytes((d / f"CONTENT-1_LANE1_R{mate}.fastq.gz").read_bytes())
        b.add("CONTENT-2", f"CONTENT-2_R{mate}.fastq.gz", f"fastq_{mate}")
    pair("MATE-MISSING")
    b.rows.pop()
    (d / "MATE-MISSING_LANE1_R2.fastq.gz").unlink()
    pair("ENTRIES-MIXED")
    alignment("ENTRIES-MIXED")
    b.add("ENTRIES-MIXED", "ENTRIES-MIXED.bam", "bam")

    (d.parent / "outside.bam").write_bytes(b"outside")
    b.add("PATH-UP", "../outside.bam", "bam", sha256="1" * 64)
    b.add("PATH-ABSOLUTE", "/etc/hostname", "bam", sha256="2" * 64)
    b.add("PATH-UP-GVCF", "../outside.g.vcf.gz", "gvcf", sha256="8" * 64)
    (d / "link.g.vcf.gz").symlink_to("/etc/hostname")
    b.add("A-LINK-GVCF", "link.g.vcf.gz", "gvcf", sha256="a" * 64)
    (d / "link.bam").symlink_to("/etc/hostname")
    b.add("A-LINK", "link.bam", "bam", sha256="3" * 64)
    (d / "linked").symlink_to(d.parent)
    b.add("LINKED-FOLDER", "linked/outside.bam", "bam", sha256="4" * 64)
    os.mkfifo(d / "fifo.bam")
    b.add("NAMED-PIPE", "fifo.bam", "bam", sha256="5" * 64)
    (d / "folder.bam").mkdir()
    b.add("A-FOLDER", "folder.bam", "bam", sha256="6" * 64)

    pair("WRONG-SIZE")
    b.rows[-1][-1] = "1"
    pair("WRONG-SUM")
    b.rows[-1][-2] = "7" * 64

    def replaced(label: str, content: bytes, mate: int = 2) -> None:
        """The FASTQ file of ``mate`` has ``content``, and the manifest says so."""
        pair(label)
        path = d / f"{label}_LANE1_R{mate}.fastq.gz"
        path.write_bytes(content)
        b.rows[-3 + mate][-2:] = [hashlib.sha256(content).hexdigest(), str(len(content))]

    def packed(label: str) -> bytes:
        return gzip.compress(fastq(seeds[label], 2).encode())

    replaced("GZIP-TRUNCATED", packed("GZIP-TRUNCATED")[:-200])
    damaged = bytearray(packed("GZIP-DAMAGED"))
    damaged[300] ^= 0xFF
    replaced("GZIP-DAMAGED", bytes(damaged))
    replaced("FASTQ-MALFORMED", gzip.compress(b"@a\nACGT\n+\nFFF\n"))
    replaced("FASTQ-NUL", gzip.compress(fastq(1, 2).encode() + b"@x\nAC\0T\n+\nFFFF\n"))
    replaced("NO-READS", gzip.compress(b""))
    replaced("A-BOMB", gzip.compress(b"@r\nA\n+\nF\n" * 7_500_000, 9))
    replaced("LONG-LINE", gzip.compress(b"@" + os.urandom(5_000_000).hex().encode() + b"\nA\n+\nF\n", 1))
    replaced("PAIRS-COUNT", gzip.compress(fastq(seeds["PAIRS-COUNT"], 2, pairs=19).encode()))
    swapped = fastq(seeds["PAIRS-ORDER"], 2).splitlines(keepends=True)
    replaced("PAIRS-ORDER", gzip.compress("".join([*swapped[4:8], *swapped[:4], *swapped[8:]]).encode()))
    pair("BGZF-NO-END")
    path = d / "BGZF-NO-END_LANE1_R2.fastq.gz"
    with pysam.BGZFile(str(path), "wb") as out:  # type: ignore[call-arg]
        out.write(fastq(seeds["BGZF-NO-END"], 2).encode())
    path.write_bytes(path.read_bytes()[:-28])
    b.rows.pop()
    b.add("BGZF-NO-END", path.name, "fastq_2", "LANE1")
    for label, suffix, cut in (("BAM-NO-END", "bam", 28), ("CRAM-NO-END", "cram", 38), ("BAM-CUT", "bam", 500)):
        path = alignment(label, suffix)
        path.write_bytes(path.read_bytes()[:-cut])
        b.add(label, path.name, suffix)
    (d / "text.bam").write_bytes(fastq(9, 1).encode())
    b.add("BAM-IS-TEXT", "text.bam", "bam")
    lines = gvcf_text(reference, sample="GVCF-UNSORTED").splitlines(keepends=True)
    gvcf("GVCF-UNSORTED", "".join([*lines[:-2], lines[-1], lines[-2]]))
    gvcf("GVCF-MALFORMED", gvcf_text(reference, sample="GVCF-MALFORMED").replace("\t100\t", "\tone hundred\t"))
    (d / "ENCRYPTED.bam.c4gh").write_bytes(b"crypt4gh")
    b.add("ENCRYPTED-NO-KEY", "ENCRYPTED.bam.c4gh", "bam")
    (d / "ENCRYPTED.g.vcf.gz.c4gh").write_bytes(b"crypt4gh too")
    b.add("ENCRYPTED-NO-KEY-GVCF", "ENCRYPTED.g.vcf.gz.c4gh", "gvcf")

    for label, header in (
        ("REFERENCE-LENGTH", {"SQ": [{"SN": "chr1", "LN": 2999}]}),
        ("REFERENCE-M5", {"SQ": [{"SN": "chr1", "LN": 3000, "M5": "0" * 32}]}),
    ):
        alignment(label, header=header)
        b.add(label, f"{label}.bam", "bam")
    gvcf("REFERENCE-GVCF", contigs=[("chr9", 3000)])
    alignment("SAMPLE-ANOTHER", sample="GOOD-BAM")
    b.add("SAMPLE-ANOTHER", "SAMPLE-ANOTHER.bam", "bam")
    gvcf("SAMPLE-TWO", samples=["OTHER"])
    alignment("SAMPLE-UNKNOWN", sample="somebody")
    b.add("SAMPLE-UNKNOWN", "SAMPLE-UNKNOWN.bam", "bam")
    alignment("NAME-IN-HEADER", header={"CO": ["patient 김한빛"]})
    b.add("NAME-IN-HEADER", "NAME-IN-HEADER.bam", "bam")
    gvcf("NUMBER-IN-VCF", meta=["##patient=850101-2999999"])
    pair("PHONE-IN-COMMENT", name=lambda number: f"r{number} call 010-1234-5678")
    subject = registration("SUBJECT-IN-READ", seeds["SUBJECT-IN-READ"])["participant"]
    pair("SUBJECT-IN-READ", name=lambda number: f"{subject}:{number}")
    pair("SUBJECT-IN-FILE", stem=registration("", seeds["SUBJECT-IN-FILE"])["participant"].lower())
    alignment("NAME-IN-TAG", tag=f"of {registration('NAME-IN-TAG', seeds['NAME-IN-TAG'])['name']}")
    b.add("NAME-IN-TAG", "NAME-IN-TAG.bam", "bam")
    gvcf("PHONE-IN-INFO", gvcf_text(reference, sample="PHONE-IN-INFO").replace("=ward7\t", "=010-1234-5678\t"))
    return b.finish()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, ReceivedDelivery]]:
    """(workspace, delivery, what intake said of it)."""
    folder = tmp_path_factory.mktemp("intake")
    reference = write_reference(folder / "reference")
    delivery = build(folder / "inbox", reference)
    labels = [*(label for label in EXPECTED if label not in ("NOT-REGISTERED", "LOOKALIKE-0")), "LOOKALIKE-O"]
    numbers = {label: number for number, label in enumerate(EXPECTED, start=100)}
    numbers["TWICE-2"] = numbers["TWICE-1"]
    rows = [registration(label, numbers.get(label, 99), **SPECIAL.get(label, {})) for label in labels]
    registry = make_workspace(folder / "W", reference, rows)
    record = registry.specimen(INSTITUTION, "WITHDRAWN")
    assert record is not None
    registry.withdraw(record.participant_id)
    yield folder / "W", delivery, receive(delivery, workspace=Workspace(folder / "W"))


@pytest.fixture(scope="module")
def verdicts(world: tuple[Path, Path, ReceivedDelivery]) -> dict[str, Verdict]:
    """Return the verdicts by barcode; they are in the order of the specimens' first lines in the manifest."""
    _, delivery, received = world
    lines = (delivery / "manifest.tsv").read_text().splitlines()[1:]
    barcodes = list(dict.fromkeys(line.split("\t")[0] for line in lines))
    return dict(zip(barcodes, received.verdicts, strict=True))


@pytest.mark.parametrize("barcode", EXPECTED)
def test_each_fault_has_its_own_reason(verdicts: dict[str, Verdict], barcode: str) -> None:
    verdict = verdicts[barcode]
    assert (verdict.verdict, list(dict.fromkeys(reason.code for reason in verdict.reasons))) == EXPECTED[barcode]


def test_every_reason_occurs_here_or_in_the_tests_of_deliveries() -> None:
    elsewhere = {"specimen_reused", "reference_differs", "reads_without_mate", "array_genotypes_unusable"}
    assert {code for _, codes in EXPECTED.values() for code in codes} | elsewhere == set(REASON_KINDS)


def test_only_accepted_specimens_are_staged(
    world: tuple[Path, Path, ReceivedDelivery], verdicts: dict[str, Verdict]
) -> None:
    workspace, _, received = world
    accepted = {verdict.participant_id for verdict in verdicts.values() if verdict.verdict == "accept"}
    staged = workspace / "deliveries" / received.delivery_id / "staged"
    assert {folder.name for folder in staged.iterdir()} == accepted
    summary = json.loads((staged.parent / "delivery.json").read_text())
    assert (summary["specimens"], summary["accepted"]) == (len(EXPECTED), 6)


def test_the_return_report_uses_the_names_of_the_institution(world: tuple[Path, Path, ReceivedDelivery]) -> None:
    _, _, received = world
    report = json.loads((received.report / "return.json").read_text())
    specimens = {specimen["specimen"]: specimen for specimen in report["specimens"]}
    assert {barcode: specimen["verdict"] for barcode, specimen in specimens.items()} == {
        barcode: verdict for barcode, (verdict, _) in EXPECTED.items()
    }
    (reason,) = specimens["WRONG-SUM"]["reasons"]
    assert reason["files"] == ["WRONG-SUM_LANE1_R2.fastq.gz"]
    assert reason["action"] == "send the file again"
    (reason,) = specimens["NAME-IN-TAG"]["reasons"]
    assert reason["observed"] == "registered in tag CO"
    (reason,) = specimens["PHONE-IN-INFO"]["reasons"]
    assert reason["observed"] == "telephone in INFO column"
    page = (received.report / "return.html").read_text()
    for verdict in received.verdicts:
        for text in (page, json.dumps(report)):
            assert verdict.specimen_id not in text
            assert verdict.participant_id is None or verdict.participant_id not in text


def expanded(content: bytes) -> bytes:
    """Return the content of gzip, BGZF and BAM."""
    out = b""
    while content.startswith(b"\x1f\x8b"):
        inflater = zlib.decompressobj(31)
        try:
            out += inflater.decompress(content)
        except zlib.error:
            break
        content = inflater.unused_data
    return out


def test_only_the_return_report_holds_names_of_the_institution(
    world: tuple[Path, Path, ReceivedDelivery],
) -> None:
    workspace, delivery, _ = world
    lines = (delivery / "manifest.tsv").read_text().splitlines()[1:]
    names = {field for line in lines for field in line.split("\t")[:2]}
    names |= {"ward7", "hospital", INSTITUTION, "HB-2026-01", "HB-SUBJECT", "FLOW", str(delivery), "LANE1", "LANE.1"}
    needles = [name.encode() for name in names if name != "tiny"]
    files = [path for path in workspace.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        inside = path.relative_to(workspace)
        if inside.parts[0] in ("return", "config.yaml") or path.is_symlink():
            continue
        content = path.read_bytes()
        text = content + expanded(content)
        found = [needle for needle in needles if needle in text or needle.decode() in str(inside)]
        assert not found, (inside, found)


def test_references_differ_in_every_base(tmp_path: Path) -> None:
    assert bases(1, CONTIGS[0][1]) != bases(2, CONTIGS[0][1])
