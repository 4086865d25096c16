"""A flipped bit in a page of a stored Parquet file is noticed by every reader; other data is never read in silence."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from baekman.arrow import read_parquet
from baekman.cli.failure import describe
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import Store
from baekman.errors import DamagedFile
from baekman.tables.dataset import open_tables
from baekman.tables.files import open_table, table_path
from baekman.tables.make import make_tables
from support import small_cohort
from support.store_tools import block, gvcf_text, line

FLIPS = 60
KINDS = ("roster", "calls", "reference", "census", "called", "sites", "sites/called", "table")


@pytest.fixture
def cohort(store: Store, tmp_path: Path) -> Store:
    """Return a store with a participant who has call rows and reference blocks."""
    blocks = [block(pos + 1, pos + 3, "C", gq=20 + pos % 60) for pos in range(1, 117, 4)]
    records = [line(pos, "A", "G", "0/1:40:22:11,11:45,0,42") for pos in range(1, 120, 4)]
    lines = sorted([*blocks, *records], key=lambda text: int(text.split("\t")[1]))
    (tmp_path / "1.g.vcf").write_text(gvcf_text(lines, contigs={"c1": len(small_cohort.BASES)}))
    add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(tmp_path / "1.g.vcf"))])
    return store


def files_of(store: Store, output: Path) -> dict[str, Path]:
    """Return a stored file of each kind, the largest one."""
    make_tables(store, output=output)
    places = {
        "roster": "batches/*/roster.parquet",
        **{kind: f"batches/*/{kind}/*.parquet" for kind in ("calls", "reference", "census", "called")},
        "sites": "sites/*/*.parquet",
        "sites/called": "sites/*/called/*.parquet",
    }
    files = {kind: max(store.path.glob(place), key=lambda path: path.stat().st_size) for kind, place in places.items()}
    return {**files, "table": table_path(output, "P1")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_a_page_is_never_read_as_other_data(cohort: Store, tmp_path: Path, kind: str) -> None:
    file = files_of(cohort, tmp_path / "tables")[kind]
    sound, content = read_parquet(file), file.read_bytes()
    draw = random.Random(kind)
    noticed = 0
    end_of_pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for _ in range(FLIPS):
        position = draw.randrange(4, end_of_pages)
        damaged = bytearray(content)
        damaged[position] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        try:
            table = read_parquet(file)
        except DamagedFile as damage:
            assert damage.filename == str(file)
            noticed += 1
        else:
            # the header of a page has statistics that reading does not use
            assert table.equals(sound)
    assert noticed > 0


def test_the_page_of_a_damaged_table_is_noticed_in_a_data_set_too(cohort: Store, tmp_path: Path) -> None:
    file = files_of(cohort, tmp_path / "tables")["table"]
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    with pytest.raises((OSError, pa.ArrowException)):
        open_table(file, participant="P1", keys=None).read()
    with pytest.raises((OSError, pa.ArrowException)):
        open_tables(tmp_path / "tables").to_table()


def test_the_failure_names_the_damaged_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "cohort" / "batches" / "b" / "roster.parquet"
    words = describe(DamagedFile(path), arguments=["--cohort", str(tmp_path / "cohort")], environment={})
    assert words == (
        f"a stored file is damaged: {path}; `baekman cohort verify` finds every damaged file of a cohort. "
        "Restore a batch from a back-up; write tables again with `baekman tables`"
    )
