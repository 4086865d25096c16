"""Check 11: an ID of ours is found wherever a package may have it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman import pseudonyms
from baekman.errors import InputRefused
from baekman.releases.package.scan import scan_package

OURS, MEMBER, SPECIMEN = pseudonyms.new("P"), pseudonyms.new("P"), pseudonyms.new("S")
CLEAN = pa.table({"project_id": ["X1", "X2"]})


def ours(candidates: Collection[str]) -> set[str]:
    return {OURS, MEMBER, SPECIMEN}.intersection(candidates)


def footer(folder: Path) -> None:
    pq.write_table(CLEAN.replace_schema_metadata({"made": f"from {OURS}"}), folder / "x.parquet")


def statistic(folder: Path) -> None:
    # a value that stands in statistics of a page alone: the page itself is encoded by dictionary and compressed
    pq.write_table(pa.table({"project_id": [OURS, OURS]}), folder / "x.parquet", compression="zstd")
    data = (folder / "x.parquet").read_bytes()
    assert data.count(OURS.encode()) >= 2


def value(folder: Path) -> None:
    rows = pa.table({"a": [f"x{number}" for number in range(1000)] + [f"ab{OURS}cd"]})
    pq.write_table(rows, folder / "x.parquet", compression="zstd", write_statistics=False)
    assert OURS.encode() not in (folder / "x.parquet").read_bytes()


def member_of_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.txt", f"{'x' * 100} {OURS} {'x' * 100}")


PLANTED: dict[str, Callable[[Path], object]] = {
    "footer": footer,
    "statistic": statistic,
    "value": value,
    "zip member": member_of_zip,
    "name": lambda folder: (folder / f"{OURS}.parquet").write_text("x"),
    "name of a folder": lambda folder: (folder / OURS.lower()).mkdir(),
    "text": lambda folder: (folder / "x.txt").write_text(f"sample_{OURS}_1"),
    "utf-16": lambda folder: (folder / "x.txt").write_bytes(b"y" + OURS.encode("utf-16-be")),
    "hex": lambda folder: (folder / "x.txt").write_text(OURS.encode().hex()),
    "specimen": lambda folder: (folder / "x.txt").write_text(SPECIMEN),
    "base64 of a member": lambda folder: (folder / "x.txt").write_bytes(base64.b64encode(f"ab{MEMBER}".encode())),
    "hash of a member": lambda folder: (folder / "x.txt").write_text(hashlib.sha256(MEMBER.encode()).hexdigest()),
    "unreadable": lambda folder: (folder / "x.gz").write_bytes(b"\x1f\x8b\x08broken"),
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_id_is_found(tmp_path: Path, place: str) -> None:
    pq.write_table(CLEAN, tmp_path / "clean.parquet")
    PLANTED[place](tmp_path)
    with pytest.raises(InputRefused) as refused:
        scan_package(tmp_path, ours=ours, members=[MEMBER])
    message = str(refused.value)
    assert "no ID of this workspace" in message or "scanned to its end" in message
    assert OURS not in message and OURS.lower() not in message


def test_ids_of_a_project_and_a_release_and_of_elsewhere_are_no_leak(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(f"{pseudonyms.new('R')} {pseudonyms.new('J')} P000000000000 {pseudonyms.new('P')}")
    assert scan_package(tmp_path, ours=ours, members=[MEMBER]) == 1
