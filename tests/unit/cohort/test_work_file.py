"""The work files of a participant: every part is read as it was written, and a half-written file is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from baekman.cohort.schema import CALLS, REFERENCE
from baekman.cohort.work_file import WorkFile

Parts = list[tuple[pa.RecordBatch, pa.RecordBatch]]


def rows(schema: pa.Schema, count: int, *, first: int = 1) -> pa.RecordBatch:
    """Return ``count`` rows: the numbers from ``first`` in every column, as text in string columns."""
    numbers = [range(first, first + count) for _ in schema]
    columns = [
        pa.array([str(n) if pa.types.is_string(f.type) else n % 120 for n in column], f.type)
        for f, column in zip(schema, numbers, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@pytest.fixture
def parts() -> Parts:
    """Four parts: rows of both kinds, of one kind, none, and slices of larger batches."""
    calls, reference = rows(CALLS, 50), rows(REFERENCE, 50)
    return [
        (rows(CALLS, 3), rows(REFERENCE, 2, first=7)),
        (rows(CALLS, 0), rows(REFERENCE, 4)),
        (rows(CALLS, 0), rows(REFERENCE, 0)),
        (calls.slice(11, 13), reference.slice(49)),
    ]


@pytest.fixture
def work(tmp_path: Path) -> WorkFile:
    """Return the work files of a participant, not yet written."""
    return WorkFile(tmp_path / "work" / "7")


def test_every_part_is_read_as_it_was_written(parts: Parts, work: WorkFile) -> None:
    work.write(iter(parts), summary=lambda: {"records": 12, "filters": ["LowQual"]})
    for number in (2, 0, 3, 1):
        assert (work.read_calls(number), work.read_reference(number)) == parts[number]
        assert work.read_calls(number, columns=["pos", "alt"]) == parts[number][0].select(["pos", "alt"])
    assert work.read_summary() == {"records": 12, "filters": ["LowQual"]}
    names = {path.name for path in work.digests.parent.iterdir()}
    assert names == {"7.calls.arrow", "7.reference.arrow", "7.json"}


def test_any_reader_of_arrow_opens_them(parts: Parts, work: WorkFile) -> None:
    work.write(parts, summary=dict)
    for path, column in ((work.calls, 0), (work.reference, 1)):
        with pa.ipc.open_file(path) as file:
            assert file.read_all() == pa.Table.from_batches([part[column] for part in parts])


def test_a_file_without_parts_has_a_summary(work: WorkFile) -> None:
    work.write([], summary=lambda: {"records": 0})
    assert work.read_summary() == {"records": 0}
    assert work.is_whole()


def test_a_file_is_whole_when_every_byte_is_as_it_was_written(parts: Parts, work: WorkFile) -> None:
    assert not work.is_whole()
    work.write(parts, summary=lambda: {"records": 12})
    assert work.is_whole()
    for path in (work.calls, work.reference, work.digests):
        written = path.read_bytes()
        for at in range(len(written)):
            path.write_bytes(written[:at] + bytes([written[at] ^ 0x41]) + written[at + 1 :])
            assert not work.is_whole(), at
        path.write_bytes(written)
    assert work.is_whole()


@pytest.mark.parametrize("name", ["calls", "reference", "digests"])
def test_the_remains_of_a_stopped_machine_are_not_whole(parts: Parts, work: WorkFile, name: str) -> None:
    work.write(parts, summary=lambda: {"records": 12})
    path: Path = getattr(work, name)
    written = path.read_bytes()
    for content in (b"", written[:10], written[:-2], written[: len(written) // 2], bytes(len(written))):
        path.write_bytes(content)
        assert not work.is_whole()
    path.unlink()
    assert not work.is_whole()


def test_nothing_is_left_where_reading_fails(work: WorkFile) -> None:
    def failing() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        yield rows(CALLS, 3), rows(REFERENCE, 3)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        work.write(failing(), summary=dict)
    assert list(work.digests.parent.iterdir()) == []
