"""The number of records by an index agrees with the records in the file; other files give none."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pysam
import pytest
from baekman.files.bgzf_index import count_records, indexed_records

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=a,length=900000000>\n##contig=<ID=b,length=200000000>\n"
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def vcf(path: Path, records: list[tuple[str, int]]) -> Path:
    """Write a BGZF VCF."""
    lines = "".join(f"{contig}\t{pos}\t.\tA\tC\t.\t.\t.\n" for contig, pos in records)
    with pysam.BGZFile(str(path), "wb") as packed:  # type: ignore[call-arg]
        packed.write((HEADER + COLUMNS + lines).encode())
    return path


@pytest.mark.parametrize("is_csi", [False, True])
@pytest.mark.parametrize(
    "records",
    [
        [],
        [("a", 1), ("a", 1), ("a", 400_000_000), ("b", 7)],
        [("b", 100 * number + 1) for number in range(40_000)],
    ],
)
def test_an_index_counts_the_records(tmp_path: Path, records: list[tuple[str, int]], is_csi: bool) -> None:
    path = vcf(tmp_path / "x.vcf.gz", records)
    pysam.tabix_index(str(path), preset="vcf", csi=is_csi)
    assert indexed_records(path) == len(records)


def test_no_index_an_older_one_and_a_damaged_one_count_nothing(tmp_path: Path) -> None:
    path = vcf(tmp_path / "x.vcf.gz", [("a", 1)])
    assert indexed_records(path) is None
    pysam.tabix_index(str(path), preset="vcf")
    index = tmp_path / "x.vcf.gz.tbi"
    content = gzip.decompress(index.read_bytes())
    os.utime(path, ns=(0, index.stat().st_mtime_ns + 1))
    assert indexed_records(path) is None
    os.utime(path, ns=(0, index.stat().st_mtime_ns))
    assert indexed_records(path) == 1
    for damaged in (b"", b"TBI\1", content[:60], b"BAI\1" + content[4:]):
        index.write_bytes(gzip.compress(damaged))
        assert indexed_records(path) is None
    with pytest.raises(ValueError, match="no TBI or CSI"):
        count_records(b"BAI\1")
