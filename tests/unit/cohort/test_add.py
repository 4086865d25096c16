"""Operations on the cohort: sites, tables and exports of its snapshots, and the remains of a refused add."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch, repeated_contents
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_sites, read_snapshot
from baekman.cohort.store import Store, create_store, open_store
from baekman.cohort.verify.whole import verify
from baekman.errors import InputRefused
from baekman.export import write as exports
from baekman.export.write import Content, export
from baekman.freezes.freeze import freeze
from baekman.gvcf.thresholds import Thresholds
from baekman.tables import make as tables
from baekman.tables.make import make_tables
from support.kills import Killed, killed
from support.small_cohort import BASES, member
from support.store_tools import baekman, gvcf_text, hashes, line, write_reference

# --- sites -------------------------------------------------------------------------------------------------


def test_the_call_rate_on_y_leaves_females_out(tmp_path: Path) -> None:
    contigs = {"chrX": BASES, "chrY": BASES}
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", contigs))
    lengths = {name: len(bases) for name, bases in contigs.items()}
    of_x = line(5, "A", "G", "0/1:40:22:11,11:45,0,42", contig="chrX")
    of_y = line(5, "A", "G", "1:40:22:0,22:45,0", contig="chrY")
    members = []
    for number, sex in enumerate(("male", "female", "female", "female", "unknown", "male")):
        path = tmp_path / f"{number}.g.vcf"
        path.write_text(gvcf_text([of_x] if sex == "female" else [of_x, of_y], contigs=lengths))
        members.append(Member(participant_id=f"P{number}", gvcf=str(path), sex=sex))
    add_batch(store, batch="b0", members=members[:4])
    snapshot = add_batch(store, batch="b1", members=members[4:])
    x, y = (read_sites(store, snapshot, shard).to_pylist()[0] for shard in (0, 1))
    assert (x["called"], x["call_rate"], x["filter"]) == (6, 1.0, "PASS")
    assert (y["called"], y["no_coverage"], y["call_rate"], y["filter"]) == (3, 3, 1.0, "PASS")
    rewrite.compact(store)
    rewrite.withdraw(store, ["P0"])
    assert verify(store) == []


def test_the_gvcf_of_a_participant_of_an_older_batch_is_refused(tmp_path: Path) -> None:
    bases = "ACGT" * 150
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": bases}))

    def person(name: str, content: str, *, rows: int = 120, sample: str = "S1") -> Member:
        path = tmp_path / f"{name}.g.vcf"
        lines = [line(4 * n + 1, "A", content, "0/1:40:22:11,11:45,0,42") for n in range(rows)]
        path.write_text(gvcf_text(lines, contigs={"c1": len(bases)}, sample=sample))
        return Member(participant_id=name, gvcf=str(path))

    add_batch(store, batch="b1", members=[person("P1", "G"), person("P2", "C")])
    add_batch(store, batch="b2", members=[person("P3", "G", rows=110)])
    before = hashes(store.path)
    for _ in range(2):  # with the index, and with one of an earlier version
        with pytest.raises(InputRefused, match=r"participants P1, P9: .* found files with the same content"):
            add_batch(store, batch="b3", members=[person("P8", "T"), person("P9", "G")])
        assert {name for name, value in hashes(store.path).items() if before.get(name) != value} <= {
            store.participants.name
        }
        with sqlite3.connect(store.participants) as connection:
            connection.execute("DROP TABLE contents")
    # the same content but for the header, and content that tells nothing: a note
    add_batch(store, batch="b3", members=[person("P4", "C", sample="S2"), person("P5", "G", rows=3)])
    add_batch(store, batch="b4", members=[person("P6", "G", rows=3), person("P7", "T")])
    assert repeated_contents(store, "b3") == [["P2", "P4"], ["P5", "P6"]]
    assert repeated_contents(store, "b4") == [["P5", "P6"]]
    rewrite.compact(store)
    with pytest.raises(InputRefused, match=r"participants P1, P9"):
        add_batch(store, batch="b5", members=[person("P9", "G")])
    rewrite.withdraw(store, ["P1"])
    assert b"P1" not in store.participants.read_bytes().replace(b"P10", b"")
    add_batch(store, batch="b5", members=[person("P9", "G")])
    assert verify(store) == []


def test_tables_stay_in_their_folder_whatever_the_id(store: Store, tmp_path: Path) -> None:
    person = member(tmp_path, 0)
    ids = ["P..", "P..x", "P.", "P", "P-_", "P12", "P1.reference.x"]
    add_batch(store, batch="b", members=[Member(participant_id=name, gvcf=person.gvcf) for name in ids])
    output = tmp_path / "deep" / "tables"
    assert make_tables(store, output=output) == len(ids)
    written = {(path.parts[-3], path.name) for path in output.glob("*/*/*.parquet")}
    assert written == {(dataset, f"{name}.parquet") for name in ids for dataset in ("variants", "reference")}
    assert [path.name for path in output.parent.iterdir()] == ["tables"]


def test_the_tables_of_a_batch_are_shared_out_evenly_among_workers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_batch(store, batch="b", members=[member(tmp_path, number) for number in range(7)])

    def shares(workers: int) -> list[int]:
        tasks = tables.plan_tables(store, read_snapshot(store), workers=workers)
        assert [task.first for task in tasks] == [0, *(task.last for task in tasks[:-1])]
        assert tasks[-1].last == 7
        return [task.last - task.first for task in tasks]

    assert shares(4) == [7]  # a few are not worth reading a shard twice
    monkeypatch.setattr(tables, "LEAST_PER_TASK", 2)
    assert (shares(1), shares(2), shares(3), shares(9)) == ([7], [4, 3], [3, 3, 1], [2, 2, 2, 1])
    monkeypatch.setattr(tables, "PARTICIPANTS_PER_TASK", 3)
    assert (shares(1), shares(2)) == ([3, 3, 1], [2, 2, 2, 1])


def test_tables_for_which_the_disk_is_full_leave_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = pq.ParquetWriter.close

    def full(writer: pq.ParquetWriter) -> None:
        close(writer)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    add_batch(store, batch="b", members=[member(tmp_path, 0), member(tmp_path, 1)])
    monkeypatch.setattr(pq.ParquetWriter, "close", full)
    with pytest.raises(OSError, match="No space left"):
        make_tables(store, output=tmp_path / "tables")
    assert hashes(tmp_path / "tables") == {}


# --- results for the same people with other settings ---------------------------------------------------------


@pytest.fixture
def stricter(store: Store, tmp_path: Path) -> Store:
    """Return a store of the same people as ``store``, who are not called in it."""
    people = [member(tmp_path, 0), member(tmp_path, 1)]
    other = create_store(tmp_path / "stricter", reference=tmp_path / "ref.fa", thresholds=Thresholds(min_gq=41))
    for cohort in (store, other):
        add_batch(cohort, batch="b", members=people)
    return other


def test_tables_made_with_other_settings_are_made_again(store: Store, stricter: Store, tmp_path: Path) -> None:
    for cohort, folder in ((store, "tables"), (stricter, "tables"), (stricter, "fresh")):
        make_tables(cohort, output=tmp_path / folder)
    assert hashes(tmp_path / "tables") == hashes(tmp_path / "fresh")


def test_a_freeze_made_with_other_settings_is_another_one(store: Store, stricter: Store, tmp_path: Path) -> None:
    freeze(store, output=tmp_path / "release")
    with pytest.raises(InputRefused, match="a freeze of another snapshot, or with other settings"):
        freeze(stricter, output=tmp_path / "release")


def test_a_killed_export_is_not_continued_with_other_settings(
    store: Store, stricter: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported(cohort: Store, name: str) -> bytes:
        export(cohort, read_snapshot(cohort), format="bcf", output=tmp_path / name, content=Content())
        return (tmp_path / name).read_bytes()

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(exports, "join_pieces", killed)
        exported(store, "x.bcf")
    assert exported(stricter, "x.bcf") == exported(stricter, "fresh.bcf")


# --- a snapshot that goes while it is read -----------------------------------------------------------------------


def _exported(store: Store, folder: Path) -> None:
    export(store, read_snapshot(store), format="bcf", output=folder / "x.bcf", content=Content())


def _tabled(store: Store, folder: Path) -> None:
    make_tables(store, output=folder / "tables")


@pytest.mark.parametrize(
    ("read", "module", "task"),
    [(_exported, exports, "write_piece"), (_tabled, tables, "write_tables")],
)
def test_a_reader_of_a_snapshot_that_is_deleted_is_refused_in_words(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Store, Path], None],
    module: ModuleType,
    task: str,
) -> None:
    for number in range(2):
        add_batch(store, batch=f"b{number}", members=[member(tmp_path, number)])
    run_task = getattr(module, task)

    def late(*arguments: object, **options: object) -> None:
        rewrite.compact(store)
        run_task(*arguments, **options)

    monkeypatch.setattr(module, task, late)
    with pytest.raises(InputRefused) as refused:
        read(store, tmp_path)
    assert str(refused.value) == (
        "snapshot 2: expected one that stays while it is read, found one that a withdrawal or compaction deleted; "
        "run the same command again"
    )
    read(store, tmp_path)


def test_a_freeze_of_a_snapshot_that_is_deleted_is_made_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        add_batch(store, batch=f"b{number}", members=[member(tmp_path, number)])
    run_task = tables.write_tables

    def late(*arguments: object, **options: object) -> None:
        rewrite.compact(store)
        run_task(*arguments, **options)

    monkeypatch.setattr(tables, "write_tables", late)
    assert freeze(store, output=tmp_path / "release").number == read_snapshot(store).number == 3
    assert not (tmp_path / "release" / ".freeze").exists()


# --- nothing is left of a refused or superseded add ----------------------------------------------------------


def test_a_refused_add_leaves_no_work(store: Store, tmp_path: Path) -> None:
    people = [member(tmp_path, 0), member(tmp_path, 1)]
    Path(people[1].gvcf).write_text("no gVCF")
    before = hashes(store.path)
    with pytest.raises(InputRefused):
        add_batch(store, batch="b", members=people)
    assert list(store.work.iterdir()) == []
    assert hashes(store.path).items() - before.items() == {
        (name, digest) for name, digest in hashes(store.path).items() if name == "participants.sqlite"
    }


def test_an_add_of_changed_gvcfs_clears_the_work_on_the_old_ones(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [member(tmp_path, 0), member(tmp_path, 1)]
    with monkeypatch.context() as patch:
        patch.setattr("baekman.cohort.add.collect", killed)
        for batch in ("b", "b.x"):
            with pytest.raises(Killed):
                add_batch(store, batch=batch, members=people)
    os.utime(people[0].gvcf, ns=(0, 0))
    add_batch(store, batch="b", members=people)
    # the other batch's work is its own
    assert [path.name.rpartition(".")[0] for path in store.work.iterdir()] == ["b.x"]


def test_work_that_a_stopped_machine_lost_a_part_of_is_done_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [member(tmp_path, 0), member(tmp_path, 1)]
    with monkeypatch.context() as patch:
        patch.setattr("baekman.cohort.add.collect", killed)
        with pytest.raises(Killed):
            add_batch(store, batch="b", members=people)
    lost = next(store.work.rglob("000001.calls.arrow"))
    written = lost.read_bytes()
    lost.write_bytes(written[:40] + bytes(100) + written[140:])
    add_batch(store, batch="b", members=people)
    whole = create_store(tmp_path / "other", reference=tmp_path / "ref.fa")
    add_batch(whole, batch="b", members=people)
    assert hashes(store.path / "batches") == hashes(whole.path / "batches")


@pytest.mark.parametrize(("name", "min_gq", "low_qual"), [("cohort", 30, 50.0), ("other", 20, 30.0)])
def test_the_configuration_of_a_workspace_is_that_of_its_cohort(
    tmp_path: Path, name: str, min_gq: int, low_qual: float
) -> None:
    reference = write_reference(tmp_path / "reference.fa", {"c1": BASES})
    text = f"reference: {reference}\ncohort:\n  min_gq: 30\nsites:\n  low_qual: 50\n"
    (tmp_path / "config.yaml").write_text(text)
    baekman("cohort", "init", "--cohort", tmp_path / name, "--reference", reference)
    (tmp_path / "list.tsv").write_text(f"P1\t{member(tmp_path, 1).gvcf}\n")
    baekman("cohort", "add", "--cohort", tmp_path / name, "--batch", "b", "--gvcfs", tmp_path / "list.tsv")
    store = open_store(tmp_path / name)
    assert store.thresholds.min_gq == min_gq
    assert read_snapshot(store).filters.low_qual == low_qual
