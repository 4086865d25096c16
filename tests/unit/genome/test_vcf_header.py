"""The header of a VCF, in whatever blocks it comes."""

from __future__ import annotations

import gzip
import time
from itertools import pairwise
from pathlib import Path

import pytest
from baekman.genome.contigs import Contig
from baekman.genome.vcf_header import HeaderText, definitions, read_header, vcf_contigs, vcf_samples
from hypothesis import given, settings
from hypothesis import strategies as st

COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
HEADER = f"""##fileformat=VCFv4.2
##contig=<ID=chr1,length=100,md5=ABCDEF,assembly="a,length=7">
##contig=<length=x, ID=chrM>
##FILTER=<Description="ID=none, \\"Type=Integer\\"",ID=q10>
##INFO=<ID=DP,Number=1,Type=Integer,Description="reads, of ward 7">
##source=<no fields
##INFO=<Number=1,Description="no ID">
{COLUMNS}\tP1\tP2
"""
RECORDS = b"chr1\t1\t.\tA\t<NON_REF>\n#chr1\t2\n"
QUOTED = st.text(st.characters(exclude_characters='"\\\\\n', exclude_categories=["Cs"]))


def test_definitions_have_their_fields_in_any_order_and_no_field_of_a_quoted_text() -> None:
    fields = {definition.id: definition.fields for definition in definitions(HEADER)}
    assert list(fields) == ["chr1", "chrM", "q10", "DP"]
    assert fields["chr1"]["length"] == "100" and fields["chr1"]["assembly"] == "a,length=7"
    assert fields["q10"].keys() == {"Description", "ID"}
    assert (fields["DP"]["Type"], fields["DP"]["Description"]) == ("Integer", "reads, of ward 7")
    assert [definition.kind for definition in definitions(HEADER, "FILTER", "INFO")] == ["FILTER", "INFO"]


def test_contigs_and_samples_are_those_of_the_header() -> None:
    assert vcf_contigs(HEADER) == (Contig(name="chr1", length=100, m5="abcdef"), Contig(name="chrM", length=-1, m5=""))
    assert vcf_samples(HEADER) == vcf_samples(HEADER.replace("\n", "\r\n")) == ("P1", "P2")
    assert vcf_samples(HEADER.replace(COLUMNS, "##")) == vcf_samples("") == ()


FIELDS = st.sampled_from(
    ["length=7", "length=x", "length=", "md5=AB", " md5=AB", "ID=c2", "assembly=38", "a=<b>", 'd="e"', "f", ""]
)


@settings(deadline=None)
@given(st.lists(st.lists(FIELDS, max_size=4), min_size=1, max_size=3), st.sampled_from([">", ">\r", "> ", "", ">>"]))
def test_the_contigs_of_plain_lines_are_those_of_their_definitions(lines: list[list[str]], end: str) -> None:
    header = "##fileformat=VCFv4.2\n" + "".join(
        f"##contig=<{','.join(['ID=c1', *fields])}{end}\n##contig=<ID=c3,length=5,assembly=38>\n" for fields in lines
    )
    expected = [(definition.id, definition.fields) for definition in definitions(header, "contig")]
    assert [(contig.name, contig.length, contig.m5) for contig in vcf_contigs(header)] == [
        (name, int(fields["length"]) if fields.get("length", "").isdigit() else -1, fields.get("md5", "").lower())
        for name, fields in expected
    ]


@given(QUOTED)
def test_a_text_in_quotes_stays_one_field(text: str) -> None:
    (definition,) = definitions(f'##INFO=<ID=X,Description="{text}",Type=Float>')
    assert definition.fields == {"ID": "X", "Description": text, "Type": "Float"}


@pytest.mark.parametrize("text", [" " * 200_000, 'a"' * 100_000, 'a="' * 70_000, "\\\\" * 100_000, "a," * 100_000])
def test_a_hostile_line_is_read_in_time(text: str) -> None:
    began = time.process_time()
    assert list(definitions(f"##INFO=<{text}>")) == []
    assert time.process_time() - began < 1


@given(st.lists(st.integers(0, len(HEADER.encode() + RECORDS))))
def test_a_header_is_the_same_however_it_is_cut_into_blocks(cuts: list[int]) -> None:
    content = HEADER.encode() + RECORDS
    header = HeaderText()
    borders = [0, *sorted(cuts), len(content)]
    records = b"".join(header.feed(content[begin:end]) for begin, end in pairwise(borders))
    assert (str(header), records, header.is_whole) == (HEADER, RECORDS, True)


def test_a_header_without_records_is_read_from_a_file(tmp_path: Path) -> None:
    for number, content in enumerate((HEADER.encode(), HEADER.encode() + RECORDS)):
        path = tmp_path / f"{number}.vcf.gz"
        path.write_bytes(gzip.compress(content))
        assert read_header(path) == HEADER
