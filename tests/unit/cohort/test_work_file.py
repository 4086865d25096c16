"""The work file of a participant: what is written is read, part by part, and half a file is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from baekman.cohort.schema import CALLS, REFERENCE
from baekman.cohort.work_file import is_whole, read_calls, read_parts, read_reference, read_summary, write_parts


def rows(schema: pa.Schema, count: int, *, first: int = 1) -> pa.RecordBatch:
    """``count`` rows whose numbers are ``first`` and up, and whose strings say the same."""
    numbers = [range(first, first + count) for _ in schema]
    columns = [
        pa.array([str(n) if pa.types.is_string(f.type) else n % 120 for n in column], f.type)
        for f, column in zip(schema, numbers, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@pytest.fixture
def parts() -> list[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Four parts: rows of both kinds, of one, of none, and slices of something larger."""
    calls, reference = rows(CALLS, 50), rows(REFERENCE, 50)
    return [
        (rows(CALLS, 3), rows(REFERENCE, 2, first=7)),
        (rows(CALLS, 0), rows(REFERENCE, 4)),
        (rows(CALLS, 0), rows(REFERENCE, 0)),
        (calls.slice(11, 13), reference.slice(49)),
    ]


def test_every_part_is_read_as_it_was_written(
    parts: list[tuple[pa.RecordBatch, pa.RecordBatch]], tmp_path: Path
) -> None:
    path = tmp_path / "work" / "7.parts"
    write_parts(path, iter(parts), summary=lambda: {"records": 12, "filters": ["LowQual"]})
    for number in (2, 0, 3, 1):
        assert (read_calls(path, number), read_reference(path, number)) == parts[number]
    assert list(read_parts(path)) == parts
    assert read_summary(path) == {"records": 12, "filters": ["LowQual"]}
    assert [one.name for one in path.parent.iterdir()] == ["7.parts"]


def test_a_file_without_parts_has_a_summary(tmp_path: Path) -> None:
    write_parts(tmp_path / "x", [], summary=lambda: {"records": 0})
    assert read_summary(tmp_path / "x") == {"records": 0}


def test_what_a_stopped_machine_leaves_is_no_file(
    parts: list[tuple[pa.RecordBatch, pa.RecordBatch]], tmp_path: Path
) -> None:
    path = tmp_path / "x"
    write_parts(path, parts, summary=lambda: {"records": 12})
    whole = path.read_bytes()
    for content in (b"", whole[:10], whole[:-1], whole[: len(whole) // 2], bytes(len(whole))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="whole"):
            read_summary(path)


def test_a_file_is_whole_when_every_byte_of_it_is(
    parts: list[tuple[pa.RecordBatch, pa.RecordBatch]], tmp_path: Path
) -> None:
    path = tmp_path / "x"
    assert not is_whole(path)
    write_parts(path, parts, summary=lambda: {"records": 12})
    assert is_whole(path)
    written = path.read_bytes()
    for at in range(len(written)):  # a page that was lost, of one byte
        path.write_bytes(written[:at] + bytes([written[at] ^ 0x41]) + written[at + 1 :])
        assert not is_whole(path), at


def test_nothing_is_left_where_reading_fails(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        yield rows(CALLS, 3), rows(REFERENCE, 3)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_parts(tmp_path / "x", failing(), summary=dict)
    assert list(tmp_path.iterdir()) == []
