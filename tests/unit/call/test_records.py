"""Records of a caller become records of a gVCF: genotype quality, filters, likelihoods, and lines that are dropped."""

from __future__ import annotations

from pathlib import Path

import cyvcf2
import pytest
from baekman.call.records import EVIDENCE_LIMIT, Record, gvcf_record, read_records
from baekman.genome.ploidy import Piece
from baekman.genome.regions import Region

HEADER = """\
##fileformat=VCFv4.2
##contig=<ID=1,length=2001>
##INFO=<ID=MQ,Number=1,Type=Integer,Description="m">
##INFO=<ID=AC,Number=A,Type=Integer,Description="a">
##INFO=<ID=RPBZ,Number=1,Type=Float,Description="r">
##INFO=<ID=INDEL,Number=0,Type=Flag,Description="i">
##INFO=<ID=SAP,Number=A,Type=Float,Description="s">
##INFO=<ID=DP4,Number=4,Type=Integer,Description="d">
##FORMAT=<ID=GT,Number=1,Type=String,Description="g">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="p">
##FORMAT=<ID=GL,Number=G,Type=Float,Description="l">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="a">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS
"""
KEPT = ("MQ", "INDEL", "SAP", "DP4", "RPBZ")


def record(folder: Path, line: str, ploidy: int = 2) -> Record | None:
    path = folder / "one.vcf"
    path.write_text(HEADER + line.replace(" ", "\t") + "\n")
    (variant,) = cyvcf2.VCF(str(path))
    return gvcf_record(variant, Piece(Region("1", 1, 2000), ploidy), KEPT)


def required(folder: Path, line: str, ploidy: int = 2) -> Record:
    made = record(folder, line, ploidy)
    assert made is not None
    return made


def test_gq_of_a_variant_is_no_higher_than_its_quality(tmp_path: Path) -> None:
    variant = required(tmp_path, "1 10 . A C 30.9 . MQ=60;AC=1 GT:PL:DP:AD 0/1:80,0,90:20:10,10")
    assert variant.line == "1\t10\t.\tA\tC\t30.9\tPASS\tMQ=60\tGT:GQ:DP:AD:PL\t0/1:30:20:10,10:80,0,90\n"


def test_info_keeps_its_order_and_its_digits(tmp_path: Path) -> None:
    info = "INDEL;RPBZ=-0.379885;DP4=3,3,0,1;SAP=2.5,3;MQ=60"
    line = f"1 10 . A C,G 1396.69 . {info};AC=1,1 GT:PL:DP:AD 1/2:80,9,90,7,0,99:20:0,10,10"
    variant = required(tmp_path, line)
    assert (variant.quality, variant.info, variant.alts) == ("1396.69", info, ("C", "G"))
    assert variant.sample == "1/2:7:20:0,10,10:80,9,90,7,0,99"


def test_likelihoods_of_freebayes_become_phred(tmp_path: Path) -> None:
    variant = required(tmp_path, "1 10 . A C 0 . . GT:DP:AD:GL 0/0:4:3,1:-0.04,-0.85,-9.0")
    assert variant.sample == "0/0:8:4:3,1:0,8,90"


def test_a_haploid_piece_has_haploid_genotypes(tmp_path: Path) -> None:
    variant = required(tmp_path, "1 10 . A C 50 . . GT:PL:DP:AD 1:80,0:20:0,20", ploidy=1)
    assert variant.sample == "1:50:20:0,20:80,0"
    with pytest.raises(ValueError, match="1:10: 3 likelihoods for 2 genotypes"):
        record(tmp_path, "1 10 . A C 50 . . GT:PL:DP:AD 0/1:80,0,9:20:0,20", ploidy=1)


@pytest.mark.parametrize(
    "line",
    [
        f"1 10 . A C 0 . . GT:PL:DP:AD 0/0:0,{EVIDENCE_LIMIT},255:30:28,2",  # the reads exclude it
        "1 2001 . A C 50 . . GT:PL:DP:AD 0/1:80,0,90:20:10,10",  # starts elsewhere
        "1 10 . N C 50 . . GT:PL:DP:AD 1/1:80,9,0:20:0,20",  # the reference has no base
        "1 10 . A . 50 . . GT:DP 0/0:20",
        "1 10 . A C 50 . . GT:PL:DP:AD ./.:0,0,0:0:0,0",
        "1 10 . A C 50 . . GT:DP:AD 0/1:20:10,10",  # no likelihoods
        "1 10 . A C 50 . . GT:PL:DP:AD 0/1:.:20:10,10",
    ],
)
def test_lines_that_make_no_record(tmp_path: Path, line: str) -> None:
    assert record(tmp_path, line) is None


@pytest.mark.parametrize(
    ("info", "qual", "expected"),
    [
        (".", "19", "LowQual"),
        ("RPBZ=4.6;MQ=60", "92", "ReadPosition"),  # the limit: 3 + 3 x 40 / 92 = 4.3
        ("RPBZ=-4.2;MQ=60", "92", "PASS"),
        ("INDEL;RPBZ=9", "92", "PASS"),
    ],
)
def test_filters(tmp_path: Path, info: str, qual: str, expected: str) -> None:
    assert required(tmp_path, f"1 10 . A C {qual} . {info} GT:PL:DP:AD 0/1:80,0,90:40:30,10").filter == expected


def test_an_snv_inside_a_homozygous_deletion_is_marked(tmp_path: Path) -> None:
    lines = [
        "1 10 . ACGT A 99 . . GT:PL:DP:AD 1/1:255,90,0:30:0,30",
        "1 12 . G C 99 . . GT:PL:DP:AD 0/1:80,0,90:20:10,10",
        "1 14 . G C 99 . . GT:PL:DP:AD 0/1:80,0,90:20:10,10",
    ]
    path = tmp_path / "records.vcf"
    path.write_text(HEADER + "".join(line.replace(" ", "\t") + "\n" for line in lines))
    records, declared, reached = read_records(path, piece=Piece(Region("1", 1, 2000), 2), kept_info=("MQ", "DP4"))
    assert [made.filter for made in records] == ["PASS", "Deleted", "PASS"]
    assert reached == 14
    assert declared == [
        '##INFO=<ID=MQ,Number=1,Type=Float,Description="m">\n',
        '##INFO=<ID=DP4,Number=4,Type=Integer,Description="d">\n',
    ]
