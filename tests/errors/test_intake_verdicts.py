"""Each fault of a specimen has its own reason code, and stops no other specimen."""

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

# The verdict and the codes by barcode; the barcode names the fault of the specimen.
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
    "BGZF-NO-END": ("accept", ["end_marker_absent"]),
    "BGZF-CUT": ("reject", ["unreadable", "truncated"]),
    "MATES-SWAPPED": ("hold", ["mate_wrong"]),
    "MATE-TWICE": ("reject", ["content_repeated"]),
    "LANE-TWICE": ("reject", ["content_repeated"]),
    "PHRED-64": ("hold", ["quality_scale"]),
    "BOTH-EMPTY": ("reject", ["empty"]),
    "DASH-IN-READ": ("reject", ["unreadable"]),
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


class Faults:
    """A delivery with one specimen per barcode of ``EXPECTED``, each with one fault."""

    def __init__(self, folder: Path, reference: Path) -> None:
        self.builder = DeliveryBuilder(folder, reference)
        self.folder = self.builder.folder
        self.reference = reference
        self.seeds = {barcode: number for number, barcode in enumerate(EXPECTED, start=100)}

    def pair(self, barcode: str, **more: object) -> tuple[Path, Path]:
        return self.builder.pair(barcode, seed=self.seeds[barcode], **more)  # type: ignore[arg-type]

    def write_alignment(self, barcode: str, suffix: str = "bam", sample: str | None = "", **more: object) -> Path:
        path = self.folder / f"{barcode}.{suffix}"
        inside = barcode if sample == "" else sample
        write_alignment(path, self.reference, sample=inside, seed=self.seeds[barcode], **more)  # type: ignore[arg-type]
        return path

    def alignment(self, barcode: str, suffix: str = "bam", sample: str | None = "", **more: object) -> None:
        path = self.write_alignment(barcode, suffix, sample, **more)
        self.builder.add(barcode, path.name, suffix)

    def cut_alignment(self, barcode: str, suffix: str, cut: int) -> None:
        """Add an alignment without its last ``cut`` bytes."""
        path = self.write_alignment(barcode, suffix)
        path.write_bytes(path.read_bytes()[:-cut])
        self.builder.add(barcode, path.name, suffix)

    def gvcf(self, barcode: str, text: str | None = None, **more: object) -> None:
        path = self.folder / f"{barcode}.g.vcf.gz"
        content = gvcf_text(self.reference, sample=barcode, **more) if text is None else text  # type: ignore[arg-type]
        write_gvcf(path, content)
        self.builder.add(barcode, path.name, "gvcf")

    def replaced(self, barcode: str, content: bytes) -> None:
        """Add a pair with ``content`` as its second file, with the right size and checksum in the manifest."""
        self.pair(barcode)
        path = self.folder / f"{barcode}_LANE1_R2.fastq.gz"
        path.write_bytes(content)
        self.builder.rows[-1][-2:] = [hashlib.sha256(content).hexdigest(), str(len(content))]

    def mate(self, barcode: str, **more: int) -> str:
        """Return the second FASTQ file of a pair."""
        return fastq(self.seeds[barcode], 2, **more)

    def good(self) -> None:
        self.pair("GOOD-FASTQ")
        self.pair("GOOD-LANES")
        self.builder.pair("GOOD-LANES", seed=1, lane="LANE2")
        self.alignment("GOOD-BAM", groups=("LANE.1", "LANE.2", "UNUSED"))
        self.alignment("GOOD-CRAM", "cram")
        self.gvcf("GOOD-GVCF", meta=["##sample=GOOD-GVCF"])
        self.pair("GOOD-NAMED-INSIDE", name=lambda number: f"GOOD-NAMED-INSIDE.{number}")

    def registration(self) -> None:
        """Add specimens with faults of the registration or the consent."""
        for barcode in ("NOT-REGISTERED", "CONSENT-REFUSED", "CONSENT-LATER", "CONSENT-EXPIRED", "WITHDRAWN"):
            self.pair(barcode)
        for barcode in ("LOOKALIKE-0", "TWICE-1", "TWICE-2", "OTHER-HOSPITALS"):
            self.pair(barcode)

    def list_of_files(self) -> None:
        b, d = self.builder, self.folder
        self.pair("FILE-MISSING")[1].unlink()
        first, second = self.pair("FILE-REPEATED")
        b.add("FILE-REPEATED", first.name, "fastq_1", "LANE2")
        b.add("FILE-REPEATED", second.name, "fastq_2", "LANE2")
        self.pair("FILE-EXTRA")
        write_fastq(d / "FILE-EXTRA_LANE2_R1.fastq.gz", fastq(3, 1))
        self.pair("CONTENT-1")
        for mate in (1, 2):
            (d / f"CONTENT-2_R{mate}.fastq.gz").write_bytes((d / f"CONTENT-1_LANE1_R{mate}.fastq.gz").read_bytes())
            b.add("CONTENT-2", f"CONTENT-2_R{mate}.fastq.gz", f"fastq_{mate}")
        self.pair("MATE-MISSING")
        b.rows.pop()
        (d / "MATE-MISSING_LANE1_R2.fastq.gz").unlink()
        self.pair("ENTRIES-MIXED")
        self.alignment("ENTRIES-MIXED")

    def places(self) -> None:
        """Add files outside the delivery, links, and entries that are not plain files."""
        b, d = self.builder, self.folder
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

    def transfer(self) -> None:
        b, d = self.builder, self.folder
        self.pair("WRONG-SIZE")
        b.rows[-1][-1] = "1"
        self.pair("WRONG-SUM")
        b.rows[-1][-2] = "7" * 64
        self.replaced("GZIP-TRUNCATED", gzip.compress(self.mate("GZIP-TRUNCATED").encode())[:-200])
        damaged = bytearray(gzip.compress(self.mate("GZIP-DAMAGED").encode()))
        damaged[300] ^= 0xFF
        self.replaced("GZIP-DAMAGED", bytes(damaged))
        self.pair("BGZF-NO-END")
        path = d / "BGZF-NO-END_LANE1_R2.fastq.gz"
        with pysam.BGZFile(str(path), "wb") as out:  # type: ignore[call-arg]
            out.write(self.mate("BGZF-NO-END").encode())
        path.write_bytes(path.read_bytes()[:-28])
        b.rows.pop()
        b.add("BGZF-NO-END", path.name, "fastq_2", "LANE1")
        self.pair("BGZF-CUT")
        path = d / "BGZF-CUT_LANE1_R2.fastq.gz"
        with pysam.BGZFile(str(path), "wb") as out:  # type: ignore[call-arg]
            out.write(self.mate("BGZF-CUT").encode()[:-30])
        path.write_bytes(path.read_bytes()[:-28])
        b.rows.pop()
        b.add("BGZF-CUT", path.name, "fastq_2", "LANE1")
        for barcode, suffix, cut in (("BAM-NO-END", "bam", 28), ("CRAM-NO-END", "cram", 38), ("BAM-CUT", "bam", 500)):
            self.cut_alignment(barcode, suffix, cut)
        (d / "ENCRYPTED.bam.c4gh").write_bytes(b"crypt4gh")
        b.add("ENCRYPTED-NO-KEY", "ENCRYPTED.bam.c4gh", "bam")
        (d / "ENCRYPTED.g.vcf.gz.c4gh").write_bytes(b"crypt4gh too")
        b.add("ENCRYPTED-NO-KEY-GVCF", "ENCRYPTED.g.vcf.gz.c4gh", "gvcf")

    def formats(self) -> None:
        self.replaced("FASTQ-MALFORMED", gzip.compress(b"@a\nACGT\n+\nFFF\n"))
        self.replaced("FASTQ-NUL", gzip.compress(fastq(1, 2).encode() + b"@x\nAC\0T\n+\nFFFF\n"))
        self.replaced("NO-READS", gzip.compress(b""))
        self.replaced("A-BOMB", gzip.compress(b"@r\nA\n+\nF\n" * 7_500_000, 9))
        self.replaced("LONG-LINE", gzip.compress(b"@" + os.urandom(5_000_000).hex().encode() + b"\nA\n+\nF\n", 1))
        self.replaced("PAIRS-COUNT", gzip.compress(self.mate("PAIRS-COUNT", pairs=19).encode()))
        swapped = self.mate("PAIRS-ORDER").splitlines(keepends=True)
        self.replaced("PAIRS-ORDER", gzip.compress("".join([*swapped[4:8], *swapped[:4], *swapped[8:]]).encode()))
        (self.folder / "text.bam").write_bytes(fastq(9, 1).encode())
        self.builder.add("BAM-IS-TEXT", "text.bam", "bam")
        lines = gvcf_text(self.reference, sample="GVCF-UNSORTED").splitlines(keepends=True)
        self.gvcf("GVCF-UNSORTED", "".join([*lines[:-2], lines[-1], lines[-2]]))
        malformed = gvcf_text(self.reference, sample="GVCF-MALFORMED").replace("\t100\t", "\tone hundred\t")
        self.gvcf("GVCF-MALFORMED", malformed)

    def reads(self) -> None:
        """Add reads that are well-formed and wrong all the same."""
        self.pair("MATES-SWAPPED")
        self.builder.rows[-1][2], self.builder.rows[-2][2] = "fastq_1", "fastq_2"
        # the same reads, compressed in another way and named as second mates
        twice = fastq(self.seeds["MATE-TWICE"], 1).replace(" 1:N", " 2:N")
        self.replaced("MATE-TWICE", gzip.compress(twice.encode(), 1))
        self.pair("LANE-TWICE")
        for mate in (1, 2):
            again = gzip.compress(fastq(self.seeds["LANE-TWICE"], mate).encode(), 1)
            (self.folder / f"LANE-TWICE_LANE2_R{mate}.fastq.gz").write_bytes(again)
            self.builder.add("LANE-TWICE", f"LANE-TWICE_LANE2_R{mate}.fastq.gz", f"fastq_{mate}", "LANE2")
        scaled = self.mate("PHRED-64").replace("F" * 50, "efgh" * 12 + "BC")
        self.replaced("PHRED-64", gzip.compress(scaled.encode()))
        self.replaced("BOTH-EMPTY", gzip.compress(b"", mtime=0))
        first = self.folder / "BOTH-EMPTY_LANE1_R1.fastq.gz"
        first.write_bytes(gzip.compress(b"", mtime=0))
        self.builder.rows[-2][-2:] = self.builder.rows[-1][-2:]
        lines = self.mate("DASH-IN-READ").splitlines()
        lines[5] = lines[5][:20] + "-" + lines[5][21:]
        self.replaced("DASH-IN-READ", gzip.compress("\n".join([*lines, ""]).encode()))

    def references_and_samples(self) -> None:
        self.alignment("REFERENCE-LENGTH", header={"SQ": [{"SN": "chr1", "LN": 2999}]})
        self.alignment("REFERENCE-M5", header={"SQ": [{"SN": "chr1", "LN": 3000, "M5": "0" * 32}]})
        self.gvcf("REFERENCE-GVCF", contigs=[("chr9", 3000)])
        self.alignment("SAMPLE-ANOTHER", sample="GOOD-BAM")
        self.gvcf("SAMPLE-TWO", samples=["OTHER"])
        self.alignment("SAMPLE-UNKNOWN", sample="somebody")

    def identifiers(self) -> None:
        self.alignment("NAME-IN-HEADER", header={"CO": ["patient 김한빛"]})
        self.gvcf("NUMBER-IN-VCF", meta=["##patient=850101-2999999"])
        self.pair("PHONE-IN-COMMENT", name=lambda number: f"r{number} call 010-1234-5678")
        subject_code = registration("SUBJECT-IN-READ", self.seeds["SUBJECT-IN-READ"])["participant"]
        self.pair("SUBJECT-IN-READ", name=lambda number: f"{subject_code}:{number}")
        subject_code = registration("", self.seeds["SUBJECT-IN-FILE"])["participant"]
        self.pair("SUBJECT-IN-FILE", stem=subject_code.lower())
        name = registration("NAME-IN-TAG", self.seeds["NAME-IN-TAG"])["name"]
        self.alignment("NAME-IN-TAG", tag=f"of {name}")
        phone = gvcf_text(self.reference, sample="PHONE-IN-INFO").replace("=ward7\t", "=010-1234-5678\t")
        self.gvcf("PHONE-IN-INFO", phone)


def build(folder: Path, reference: Path) -> Path:
    """Write the delivery: one specimen per barcode of ``EXPECTED``, each with one fault."""
    faults = Faults(folder, reference)
    faults.good()
    faults.registration()
    faults.list_of_files()
    faults.places()
    faults.transfer()
    faults.formats()
    faults.reads()
    faults.references_and_samples()
    faults.identifiers()
    return faults.builder.finish()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, ReceivedDelivery]]:
    """Yield the workspace, the delivery and the result of its intake."""
    folder = tmp_path_factory.mktemp("intake")
    reference = write_reference(folder / "reference")
    delivery = build(folder / "inbox", reference)
    unregistered = ("NOT-REGISTERED", "LOOKALIKE-0")
    barcodes = [*(barcode for barcode in EXPECTED if barcode not in unregistered), "LOOKALIKE-O"]
    numbers = {barcode: number for number, barcode in enumerate(EXPECTED, start=100)}
    numbers["TWICE-2"] = numbers["TWICE-1"]
    rows = [registration(barcode, numbers.get(barcode, 99), **SPECIAL.get(barcode, {})) for barcode in barcodes]
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
    elsewhere |= {"reads_lost", "records_lost", "not_processed", "array_genotypes_changed"}
    assert {code for _, codes in EXPECTED.values() for code in codes} | elsewhere == set(REASON_KINDS)


def test_only_accepted_specimens_are_staged(
    world: tuple[Path, Path, ReceivedDelivery], verdicts: dict[str, Verdict]
) -> None:
    workspace, _, received = world
    accepted = {verdict.participant_id for verdict in verdicts.values() if verdict.verdict == "accept"}
    staged = workspace / "deliveries" / received.delivery_id / "staged"
    assert {folder.name for folder in staged.iterdir()} == accepted
    summary = json.loads((staged.parent / "delivery.json").read_text())
    assert (summary["specimens"], summary["accepted"]) == (len(EXPECTED), 7)


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
        leaks = [needle for needle in needles if needle in text or needle.decode() in str(inside)]
        assert not leaks, (inside, leaks)


def test_references_differ_in_every_base(tmp_path: Path) -> None:
    assert bases(1, CONTIGS[0][1]) != bases(2, CONTIGS[0][1])
