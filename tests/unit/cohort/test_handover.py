"""Rows and records at each hand-over of the cohort: a difference is refused, and the last snapshot stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pysam.bcftools
import pytest
from baekman.cohort import batch as batches
from baekman.cohort import commit as commits
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.cohort.verify.whole import verify
from baekman.cohort.work_file import WorkFile
from baekman.errors import InputRefused
from baekman.export import write as exports
from baekman.export.write import Content, export
from baekman.freezes.freeze import freeze
from baekman.gvcf import reader
from baekman.tables import make as tables
from baekman.tables.files import TableWriters, table_path
from baekman.tables.make import make_tables
from support.small_cohort import BASES, member
from support.store_tools import block, gvcf_text, line, write_reference


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Create a store with the batch ``first``."""
    opened = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": BASES}))
    add_batch(opened, batch="first", members=[member(tmp_path, 0)])
    return opened


def refused(store: Store, members: list[Member]) -> list[str]:
    """Add a batch that is refused; return the problems."""
    before = read_snapshot(store)
    with pytest.raises(InputRefused) as refusal:
        add_batch(store, batch="second", members=members)
    assert read_snapshot(store) == before and verify(store) == []
    assert not (store.path / "batches" / "second").exists()
    return [str(problem) for problem in refusal.value.problems]


def shortened(name: str, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the function ``name`` of ``owner`` lose the last row of a table that has P1's or more rows."""
    whole = getattr(owner, name)

    def lost(*arguments: Any, **options: Any) -> Any:
        table = whole(*arguments, **options)
        return table.slice(0, max(table.num_rows - 1, 0))

    monkeypatch.setattr(owner, name, lost)


@pytest.mark.parametrize(
    ("owner", "name", "problem"),
    [
        (WorkFile, "read_calls", "batch second: calls of P2: expected 1 rows, as read from the gVCF, found 0"),
        (WorkFile, "read_reference", "batch second: reference of P2: expected 1 rows, as read from the gVCF, found 0"),
        (batches, "sort_calls", "batch second: calls of P2: expected 1 rows, as read from the gVCF, found 0"),
        (batches, "count_alleles", "batch second: census of shard 00000: expected 2 call rows counted, found 1"),
    ],
)
def test_rows_that_are_lost_between_gvcf_and_batch_are_noticed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, problem: str
) -> None:
    members = [member(tmp_path, number) for number in (1, 2)]
    for person in members:
        text = Path(person.gvcf).read_text()
        header, records = text[: text.index("\nc1\t") + 1], text[text.index("\nc1\t") + 1 :]
        Path(person.gvcf).write_text(f"{header}{block(1, 3, 'A')}\n{records}")
    with monkeypatch.context() as patched:
        shortened(name, owner, patched)
        problems = refused(store, members)
    assert [text.startswith(problem) for text in problems].count(True) == 1
    assert all("run the same command again" in text for text in problems)
    assert add_batch(store, batch="second", members=members).participants == 3
    assert verify(store) == []


def test_a_gvcf_with_other_records_than_its_index_is_refused(store: Store, tmp_path: Path) -> None:
    records = [line(4 * number + 1, "A", "G", "0/1:40:22:11,11:45,0,42") for number in range(20)]
    path = tmp_path / "cut.g.vcf.gz"

    def write(records: list[str]) -> None:
        with pysam.BGZFile(str(path), "wb") as packed:  # type: ignore[call-arg]
            packed.write(gvcf_text(records, contigs={"c1": len(BASES)}).encode())

    write(records)
    pysam.tabix_index(str(path), preset="vcf")
    index = path.with_name("cut.g.vcf.gz.tbi")
    content = index.read_bytes()
    write(records[:11])  # a whole file by its end marker
    index.write_bytes(content)
    people = [Member(participant_id="P7", gvcf=str(path))]
    assert refused(store, people) == [
        "gVCF of P7: end of the file: expected 20 records, as its index counts, found 11; "
        "send it again if it was cut; make the index again if it is of another file"
    ]
    write(records)
    index.write_bytes(content)
    assert add_batch(store, batch="second", members=people).participants == 2


class _Early:
    """The kernel's reader, which ends early: it does not come to the last line of what it gets."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.__dict__["real"] = RECORD_READER(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["real"], name, value)

    def read(self, buf: bytes | memoryview, begin: int) -> tuple[int, int]:
        """Read without the last line."""
        content = bytes(buf)
        reason, at = self.real.read(content[: content.rfind(b"\n", 0, len(content) - 1) + 1], begin)
        return int(reason), int(at)


RECORD_READER = reader.kernel.RecordReader


def test_a_line_of_a_gvcf_that_is_not_read_is_noticed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = member(tmp_path, 1)
    lines = Path(person.gvcf).read_text().count("\n")
    monkeypatch.setattr(reader.kernel, "RecordReader", _Early)
    (problem,) = refused(store, [person])
    assert problem.startswith(
        f"gVCF of P1: all records: expected {lines} lines read, as the file has, found {lines - 1}; "
    )


def test_a_table_with_other_rows_than_the_cohort_has_is_not_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "tables"
    with monkeypatch.context() as patched:
        whole = tables.read_shard

        def lost(opened: Store, batch: str, kind: str, shard: int, **options: Any) -> pa.Table:
            table = whole(opened, batch, kind, shard, **options)
            return table.slice(0, 0) if kind == "calls" else table

        patched.setattr(tables, "read_shard", lost)
        with pytest.raises(InputRefused) as refusal:
            make_tables(store, output=output)
    assert str(refusal.value.problems[0]) == (
        "tables: participant P0: expected 1 rows and 0 reference blocks, as the cohort has, found 0 and 0; "
        "run `baekman cohort verify`; no table of this participant was written"
    )
    assert not table_path(output, "P0").exists()
    assert make_tables(store, output=output) == 1 and table_path(output, "P0").exists()


@pytest.mark.parametrize("name", ["x.vcf", "x.vcf.gz", "x.bcf", "x.pgen", "x.vcz"])
def test_an_export_with_other_records_than_the_cohort_gave_is_deleted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    add_batch(store, batch="second", members=[member(tmp_path, number) for number in (1, 2)])
    output, at = tmp_path / name, read_snapshot(store)
    format = {"gz": "vcf", "vcz": "zarr"}.get(name.rsplit(".", 1)[1], name.rsplit(".", 1)[1])
    whole = exports.join_pieces

    def lost(opened: Store, snapshot: Any, pieces: list[Path], target: Path, **options: Any) -> None:
        whole(opened, snapshot, pieces, target, **options)
        cut = target.with_name("cut.bcf")
        pysam.bcftools.view("-Ob", "-o", str(cut), "-i", "POS<9", str(target), catch_stdout=False)
        cut.replace(target)

    with monkeypatch.context() as patched:
        patched.setattr(exports, "join_pieces", lost)
        with pytest.raises(InputRefused) as refusal:
            export(store, at, format=format, output=output, content=Content())
    assert [str(problem) for problem in refusal.value.problems] == [
        f"{name}: expected 3 participants and 3 records, as the cohort gave, found 3 and 2; "
        "run the same command again: the file was deleted"
    ]
    assert not output.exists() and not list(tmp_path.glob("*.parts"))
    export(store, at, format=format, output=output, content=Content())
    assert output.exists()


def test_sites_that_do_not_count_the_rows_of_the_batches_are_not_committed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [member(tmp_path, 1)]
    with monkeypatch.context() as patched:
        shortened("merge_alleles", commits, patched)
        before = read_snapshot(store)
        with pytest.raises(InputRefused) as refusal:
            add_batch(store, batch="second", members=members)
        assert read_snapshot(store) == before
    assert str(refusal.value.problems[0]).startswith(
        "sites: shard 00000: expected 2 call rows counted, as the batches have, found 1; "
    )
    assert add_batch(store, batch="second", members=members).participants == 2
    assert verify(store) == []


def test_a_freeze_that_lacks_a_table_is_noticed(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "freeze"
    with monkeypatch.context() as patched:
        patched.setattr(TableWriters, "show", lambda self: None)
        with pytest.raises(InputRefused) as refusal:
            freeze(store, output=output)
    assert str(refusal.value.problems[0]) == (
        "--output: tables/variants: expected tables of 1 participants, found none of P0; run the same command again"
    )
    assert freeze(store, output=output).participants == 1
