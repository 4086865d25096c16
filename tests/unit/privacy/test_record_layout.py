"""Identifiers in tags of reads and columns of VCF, and coordinates that are no identifiers."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pysam
import pytest
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.manifest import ManifestRow
from baekman.privacy.record_layout import TagLayout, VcfLayout
from baekman.privacy.stream_search import IdentifierSearch
from support.delivery_builder import gvcf_text, write_alignment, write_gvcf, write_reference

# the subject code has the digits of a position: hospitals number their records so
REGISTERED = ["김한빛", "Kim Hanbit", "12345678", "850101-2345678", "8501012345678"]
HEADER = """##fileformat=VCFv4.2
##INFO=<ID=END,Number=1,Type=Integer,Description="end, Type=String">
##INFO=<ID=NOTE,Number=1,Type=String,Description="note, Type=Integer">
##FORMAT=<ID=GT,Number=1,Type=String,Description="g">
##FORMAT=<ID=PS,Number=1,Type=Integer,Description="p">
##FORMAT=<ID=PID,Number=1,Type=String,Description="p">
##FORMAT=<ID=WHO,Number=1,Type=String,Description="w">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA
"""


def look(path: Path, kind: str, reference: Path) -> Contents:
    content = path.read_bytes()
    row = ManifestRow(
        row=2,
        barcode="A",
        file=path.name,
        kind=kind,
        read_group="",
        sha256=hashlib.sha256(content).hexdigest(),
        md5="",
        size=len(content),
    )
    delivered = DeliveredFile(folder=path.parent, row=row, key=None)
    return examine(delivered, reference=reference, registered=REGISTERED, barcode="A")


@pytest.mark.parametrize(
    ("tag", "value", "places"),
    [
        ("CO", "sample of kim_hanbit", {"registered": "tag CO"}),
        ("XX", "김한빛", {"registered": "tag XX"}),
        ("MD", "8501012345678", {"registered": "tag MD", "resident_registration_number": "tag MD"}),
        ("DS", "8501012999999", {"resident_registration_number": "tag DS"}),
        ("BC", "call +82 10 1234 5678", {"telephone": "tag BC"}),
        ("ZZ", "12345678", {"registered": "tag ZZ"}),
        ("SA", "chr1,12345678,+,50M50S,60,0;", {}),
        ("OQ", "AAA@AAA.AA-010-1234-5678", {}),
        ("CO", "an innocent comment", {}),
    ],
)
@pytest.mark.parametrize("kind", ["bam", "cram"])
def test_each_tag_is_searched_and_a_finding_names_its_tag(
    tmp_path: Path, kind: str, tag: str, value: str, places: dict[str, str]
) -> None:
    reference = write_reference(tmp_path / "reference")
    plain, path = tmp_path / "plain.bam", tmp_path / f"a.{kind}"
    write_alignment(plain, reference, sample="A", seed=1)
    with (
        pysam.AlignmentFile(str(plain)) as source,
        pysam.AlignmentFile(
            str(path), "wb" if kind == "bam" else "wc", template=source, reference_filename=str(reference)
        ) as out,
    ):
        for number, read in enumerate(source):
            if number == 13:
                read.set_tag(tag, value)
            out.write(read)
    contents = look(path, kind, reference)
    assert contents.faults == []
    assert contents.record_identifiers == places
    assert contents.read_identifiers == contents.identifiers == set()


@pytest.mark.parametrize(
    ("column", "value", "places"),
    [
        (2, "KIM.HANBIT", {"registered": "ID column"}),
        (6, "김한빛", {"registered": "FILTER column"}),
        (7, "NOTE=nurse@ward.kr", {"e_mail": "INFO column"}),
        (7, "KimHanbit=1", {"registered": "INFO column"}),
        (7, "NOTE=12345678", {"registered": "INFO column"}),
        (9, "0/0:7:.:12345678", {"registered": "sample column"}),
        (9, "0/0:7:.:850101-2999999", {"resident_registration_number": "sample column"}),
        (9, "0/0:7:.:8501012999999", {"resident_registration_number": "sample column"}),
        (1, "12345678", {}),
        (7, "END=12345678", {}),
        (9, "0/0:12345678:.:.", {}),
        (9, "0/0:7:12345678_A_C:.", {}),
    ],
)
def test_each_column_is_searched_and_a_finding_names_its_column(
    column: int, value: str, places: dict[str, str]
) -> None:
    fields = ["chr1", "100", ".", "A", "C", ".", ".", "END=100", "GT:PS:PID:WHO", "0/0:7:.:."]
    fields[column] = value
    search = IdentifierSearch(REGISTERED, barcode="A", layout=VcfLayout(HEADER))
    search.feed("\t".join(fields).encode() + b"\n")
    assert search.places == places


def test_an_id_that_is_made_of_the_position_is_no_identifier() -> None:
    search = IdentifierSearch(REGISTERED, barcode="A", layout=VcfLayout(HEADER))
    search.feed(b"chr1\t12345678\tchr1:12345678:A:C\tA\tC\t.\t.\t.\tGT\t0/1\n")
    assert search.places == {}
    search.feed(b"chr1\t5\tchr1:12345678:A:C\tA\tC\t.\t.\t.\tGT\t0/1\n")
    assert search.places == {"registered": "ID column"}


def test_a_gvcf_is_searched_to_its_last_record_and_its_header_by_itself(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "reference")
    text = gvcf_text(reference, sample="A", meta=["##note=call 010-1234-5678"])
    write_gvcf(tmp_path / "a.g.vcf.gz", text)
    contents = look(tmp_path / "a.g.vcf.gz", "gvcf", reference)
    assert (contents.identifiers, contents.record_identifiers) == ({"telephone"}, {})
    body = text.replace("##note=call 010-1234-5678\n", "").rstrip("\n")
    last = body.rsplit("\n", 1)[1]
    write_gvcf(tmp_path / "b.g.vcf.gz", body.replace(last, last.replace("END=2000", "END=2000;WARD=Kim-Hanbit")))
    contents = look(tmp_path / "b.g.vcf.gz", "gvcf", reference)
    assert (contents.identifiers, contents.record_identifiers) == (set(), {"registered": "INFO column"})


def test_a_number_among_too_many_equal_coordinates_is_a_finding() -> None:
    search = IdentifierSearch(REGISTERED, barcode="A", layout=TagLayout())
    search.feed(b"\tSA:Z:chr1,12345678,+,50M,60,0;\n" * 10_000)
    assert search.places == {}
    search.feed(b"\tSA:Z:chr1,12345678,+,50M,60,0;\n")
    assert search.places == {"registered": "tag SA"}


@pytest.mark.parametrize("length", [50_000, 99_990, 100_000, 300_000, 900_000])
def test_a_shape_far_into_a_long_line_of_candidates_is_found_in_bounded_time(length: int) -> None:
    search = IdentifierSearch(REGISTERED, barcode="A", layout=VcfLayout(HEADER))
    begun = time.process_time()
    search.feed(b"c\t1\t.\tA\tC\t.\t.\tNOTE=" + b"a@b." * (length // 4) + b",010-1234-5678;X\tGT\t0/1\n")
    assert search.places == {"telephone": "INFO column"}
    assert time.process_time() - begun < 20


def test_records_are_searched_as_fast_as_they_are_decompressed() -> None:
    text = "".join(
        f"chr1\t{37 * i}\t.\tA\t<NON_REF>\t.\t.\tEND={30 + 37 * i}\tGT:DP:GQ:PL\t0/0:{i % 50}:{i % 99}:0,9,99\n"
        for i in range(200_000)
    ).encode()
    search = IdentifierSearch(REGISTERED, barcode="A", layout=VcfLayout(HEADER))
    begun = time.process_time()
    search.feed(text)
    assert search.places == {}
    assert len(text) / (time.process_time() - begun) > 15e6  # bytes a second
