"""Files of a package: buckets that follow from project IDs alone, and bytes that do not depend on the pieces."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from baekman import pseudonyms
from baekman.arrow import read_parquet
from baekman.pseudonyms import ALPHABET
from baekman.registry.books.rows import draw, pages_of
from baekman.releases.package import files
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.spill import bucket_count, bucket_name, buckets_of, read_spilled, write_spill

RELEASE = "R000000000001K"


def project_ids(count: int) -> list[str]:
    letters = np.array(list(ALPHABET))[np.random.default_rng(7).integers(0, 32, (count, 13))]
    return ["X" + "".join(row) for row in letters.tolist()]


def test_no_file_is_that_of_a_participant() -> None:
    assert [bucket_count(members) for members in (0, 1, 7, 127, 128, 20_000, 10**6)] == [1, 1, 1, 1, 2, 256, 256]
    buckets = np.bincount(buckets_of(pa.array(project_ids(20_000)), count=256), minlength=256)
    assert buckets.min() > 30 and buckets.max() < 150


def test_rows_change_buckets_and_none_is_lost(tmp_path: Path) -> None:
    ids = project_ids(300)
    count = bucket_count(len(ids))
    rows = pa.table({"project_id": ids, "value": range(len(ids))})
    paths = [tmp_path / f"{part}.arrow" for part in range(3)]
    for part, path in enumerate(paths):
        write_spill(rows.slice(part * 100, 100) if part else rows.slice(0, 100), path, count=count)
    write_spill(rows.slice(0, 0), tmp_path / "3.arrow", count=count)
    read = [read_spilled([*paths, tmp_path / "3.arrow"], bucket, schema=rows.schema) for bucket in range(count)]
    assert count == 4 and all(table.num_rows for table in read)
    for bucket, table in enumerate(read):
        assert set(buckets_of(table["project_id"].combine_chunks(), count=count).tolist()) == {bucket}
    assert sorted(pa.concat_tables(read).to_pylist(), key=str) == sorted(rows.to_pylist(), key=str)
    assert [bucket_name(bucket) for bucket in (0, 10, 255)] == ["00", "0a", "ff"]


def test_the_bytes_of_a_file_do_not_depend_on_its_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROW_GROUP_ROWS", 10)
    table = pa.table({"project_id": project_ids(35)})
    written = set()
    for number, cuts in enumerate(([35], [1, 33, 1], [10, 10, 10, 5], [20, 15, 0])):
        folder = PackageFolder(tmp_path / str(number), RELEASE)
        starts = np.cumsum([0, *cuts[:-1]]).tolist()
        pieces = [table.slice(start, cut) for start, cut in zip(starts, cuts, strict=True)]
        assert folder.write("x.parquet", pieces, schema=table.schema) == 35
        written.add((folder.content / "x.parquet").read_bytes())
        assert read_parquet(folder.content / "x.parquet").to_pylist() == table.to_pylist()
    assert len(written) == 1


def test_two_projects_and_our_own_order_are_independent() -> None:
    participants = pa.array(sorted(pseudonyms.new("P") for _ in range(2000)))
    first, second = draw(participants), draw(participants)
    assert not set(first["project_id"].to_pylist()) & set(second["project_id"].to_pylist())
    orders = [np.argsort(np.argsort(rows["project_id"].to_numpy())) for rows in (first, second)]
    ours = np.arange(len(participants))
    for one, other in ((orders[0], orders[1]), (orders[0], ours), (orders[1], ours)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.12  # five standard deviations of chance
    buckets = [buckets_of(rows["project_id"].combine_chunks(), count=16) for rows in (first, second)]
    same = (buckets[0] == buckets[1]).mean()
    assert abs(same - 1 / 16) < 0.03
    # sizes of files: some people have many times the rows of others
    rows = np.random.default_rng(3).lognormal(0, 1, len(participants))
    places = [buckets_of(each["project_id"].combine_chunks(), count=256) for each in (first, second)]
    sizes = [np.bincount(place, weights=rows, minlength=256) for place in (*places, pages_of(participants))]
    for one, other in combinations(sizes, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(256)
