"""A flipped bit in a stored file is noticed by readers and by verification; other data is never read in silence.

``BAEKMAN_FLIPS`` sets the number of flips per kind of file.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import baekman
import pytest
from baekman.cli.shared.failure import describe
from baekman.cohort.add import add_batch
from baekman.cohort.batch import read_shard
from baekman.cohort.gvcf_list import Member
from baekman.cohort.index import find_batches
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import numbers, read_called, read_sites, read_snapshot
from baekman.cohort.store import create_store, open_store
from baekman.cohort.verify.whole import verify
from baekman.errors import DamagedFile, InputRefused
from baekman.freezes.verification import verify_freeze
from baekman.query.question import Question
from baekman.tables.seals import verify_tables
from support import small_cohort
from support.store_tools import baekman as command
from support.store_tools import block, gvcf_text, line, write_reference

FLIPS = int(os.environ.get("BAEKMAN_FLIPS", "6"))
STORED = (
    *("store.json", "shards.tsv", "reference.seq", "snapshots/00000002.json", "participants.sqlite"),
    *(f"batches/b1/{name}" for name in ("roster.parquet", "hashes.json", "inputs")),
    *(f"batches/b1/{kind}/*.parquet" for kind in ("calls", "reference", "census", "called")),
    *(f"sites/00000001/{name}" for name in ("*.parquet", "called/*.parquet", "hashes.json")),
)
TABLES = ("variants/1_/P1.parquet", "reference/1_/P1.parquet", "hashes/1_/P1.json")
FROZEN = ("hashes.json", "sites/*.parquet", *(f"tables/{name}" for name in TABLES))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cohort of two participants, their tables and a freeze."""
    folder = tmp_path_factory.mktemp("damage")
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"c1": small_cohort.BASES}))
    members = []
    for number in (1, 2):
        blocks = [block(pos + 1, pos + 3, "C", gq=20 + pos % 60) for pos in range(1, 117, 4)]
        records = [line(pos, "A", "G", f"0/1:40:22:11,1{number}:45,0,42") for pos in range(1, 120, 4)]
        lines = sorted([*blocks, *records], key=lambda text: int(text.split("\t")[1]))
        (folder / f"{number}.g.vcf").write_text(gvcf_text(lines, contigs={"c1": len(small_cohort.BASES)}))
        members.append(Member(participant_id=f"P{number}", gvcf=str(folder / f"{number}.g.vcf")))
    add_batch(store, batch="b1", members=members[:1])
    add_batch(store, batch="b2", members=members[1:])
    cohort = baekman.open_cohort(folder / "cohort")
    cohort.write_tables(folder / "tables")
    cohort.freeze(folder / "freeze")
    return folder


@pytest.fixture
def place(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "W")
    return tmp_path / "W"


def everything(folder: Path) -> list[Any]:
    """Return all data of a cohort, as readers and DuckDB return it."""
    store = open_store(folder / "cohort")
    store.require_sequence()  # as an add does
    data: list[Any] = [store.contigs, store.thresholds, store.shards, bytes(store.genome.sequence)]
    for number in numbers(store):
        snapshot = read_snapshot(store, number)
        data += [snapshot, find_batches(store, ["P1", "P2"], at=snapshot)]
        for shard in range(len(store.shards)):
            data += [read_sites(store, snapshot, shard), read_called(store, snapshot, shard)]
    for batch in ("b1", "b2"):
        data.append(read_roster(store, batch))
        for shard in range(len(store.shards)):
            data += [read_shard(store, batch, kind, shard) for kind in ("calls", "reference", "census", "called")]
    cohort = baekman.open_cohort(folder / "cohort", snapshot=1)
    data.append(cohort.sql("SELECT * FROM sites").to_arrow_table())
    with cohort.query(Question(participant="P1")) as relation:
        data.append(relation.to_arrow_table())
    with cohort.query(
        Question(sql="SELECT r.*, p.* FROM reference AS r JOIN participants AS p USING (participant_id)")
    ) as r:
        data.append(r.order("start").to_arrow_table())
    return data


def tables(folder: Path) -> list[Any]:
    """Return all data of the tables of a participant."""
    read = [baekman.open_table(folder, "P1", dataset=dataset) for dataset in ("variants", "reference")]
    return [*read, *(baekman.open_table(folder, "P1", "c1:5-9", dataset=name) for name in ("variants", "reference"))]


def check_flips(
    file: Path,
    *,
    read: Callable[[], list[Any]],
    find: Callable[[], list[str]],
    root: Path,
) -> None:
    """Flip bits of ``file``: ``read`` returns the same or reports damage, ``find`` names the file in each case."""
    sound, content = read(), file.read_bytes()
    draw = random.Random(str(file.relative_to(root)))
    times = file.stat()
    for flip in range(FLIPS):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1 + flip))
        try:
            assert read() == sound
        except DamagedFile as damage:
            assert Path(damage.filename).exists()
            assert Path(damage.filename) == file.absolute()
        except InputRefused as refusal:
            assert refusal.problems[0].file in (file.name, file.relative_to(root).as_posix())
            assert "restore it" in str(refusal)
        if file.name != "participants.sqlite":  # which a reader makes again
            assert find(), f"flip {flip} of {file.name}"
        file.write_bytes(content)
    if file.name == "participants.sqlite":
        file.write_bytes(damaged)
        assert find()


@pytest.mark.parametrize("name", STORED)
def test_a_flipped_bit_of_a_store_is_never_read_as_other_data(place: Path, name: str) -> None:
    root = place / "cohort"
    file = max(root.glob(name), key=lambda path: path.stat().st_size)

    def find() -> list[str]:
        try:
            findings = verify(open_store(root))
        except InputRefused as refusal:
            return [str(refusal)]
        assert any(file.relative_to(root).as_posix() in finding for finding in findings)
        return findings

    check_flips(file, read=lambda: everything(place), find=find, root=root)


@pytest.mark.parametrize("name", TABLES)
def test_a_flipped_bit_of_a_table_is_never_read_as_other_data(place: Path, name: str) -> None:
    root = place / "tables"
    check_flips(root / name, read=lambda: tables(root), find=lambda: list(verify_tables(root)), root=root)


@pytest.mark.parametrize("name", FROZEN)
def test_a_flipped_bit_of_a_freeze_is_found(place: Path, name: str) -> None:
    root = place / "freeze"
    (file,) = root.glob(name)
    store = open_store(place / "cohort")
    check_flips(file, read=lambda: [], find=lambda: list(verify_freeze(root, store)), root=root)


def replaced(file: Path, content: bytes) -> None:
    file.write_bytes(content)


WRONG: dict[str, Callable[[Path], None]] = {
    "empty": lambda file: replaced(file, b""),
    "cut": lambda file: replaced(file, file.read_bytes()[:-1]),
    "longer": lambda file: replaced(file, file.read_bytes() + b"\n"),
    "absent": lambda file: file.unlink(),
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("name", STORED)
def test_a_cut_empty_longer_or_missing_file_is_found(place: Path, name: str, how: str) -> None:
    root = place / "cohort"
    file = max(root.glob(name), key=lambda path: path.stat().st_size)
    WRONG[how](file)
    made_again = name == "participants.sqlite" and how in ("empty", "absent")
    if name in ("store.json", "shards.tsv"):
        with pytest.raises((InputRefused, FileNotFoundError), match=name):
            open_store(root)
    else:
        findings = verify(open_store(root))
        is_absent = how == "absent" and name.startswith(("batches", "snapshots"))
        shown = "participants" if name.startswith("snapshots") and is_absent else "batches/b1" if is_absent else name
        assert any(shown.split("*")[0].rstrip("/") in finding for finding in findings) != made_again


EXCHANGED = (
    ("cohort/batches/b1/calls/*.parquet", "cohort/batches/b2/calls/*.parquet"),
    ("cohort/batches/b1/roster.parquet", "cohort/batches/b2/roster.parquet"),
    ("cohort/batches/b1/hashes.json", "cohort/batches/b2/hashes.json"),
    ("cohort/sites/00000001/*.parquet", "cohort/sites/00000002/*.parquet"),
    ("cohort/sites/00000001/hashes.json", "cohort/sites/00000002/hashes.json"),
    ("cohort/snapshots/00000001.json", "cohort/snapshots/00000002.json"),
)


@pytest.mark.parametrize(("one", "other"), EXCHANGED)
def test_exchanged_files_are_reported_by_readers_and_found(place: Path, one: str, other: str) -> None:
    (first,), (second,) = place.glob(one), place.glob(other)
    shutil.copy(second, first)
    with pytest.raises((DamagedFile, InputRefused)):
        everything(place)
    assert verify(open_store(place / "cohort"))


def test_a_batch_in_the_place_of_another_is_found(place: Path) -> None:
    shutil.rmtree(place / "cohort" / "batches" / "b1")
    shutil.copytree(place / "cohort" / "batches" / "b2", place / "cohort" / "batches" / "b1")
    findings = verify(open_store(place / "cohort"))
    assert "snapshots/00000001.json: batch b1 has another hashes.json" in findings


def test_a_table_under_the_name_of_another_is_reported(place: Path) -> None:
    for name in ("variants", "reference"):
        shutil.copy(place / f"tables/{name}/2_/P2.parquet", place / f"tables/{name}/1_/P1.parquet")
    with pytest.raises(DamagedFile):
        tables(place / "tables")
    shutil.copy(place / "tables/hashes/2_/P2.json", place / "tables/hashes/1_/P1.json")
    with pytest.raises(DamagedFile):
        tables(place / "tables")
    assert list(verify_tables(place / "tables"))


def test_commands_find_and_mend_damaged_tables_and_freezes(place: Path) -> None:
    arguments = ["tables", "--cohort", place / "cohort", "--output", place / "tables"]
    frozen = ["cohort", "verify", "--cohort", place / "cohort", "--freeze", place / "freeze"]
    assert command(*arguments, "--verify").stdout == command(*frozen).stdout == ""
    for file in (
        place / "tables" / TABLES[0],
        place / "freeze" / "tables" / TABLES[1],
        *(place / "freeze/sites").iterdir(),
    ):
        content = bytearray(file.read_bytes())
        content[20] ^= 1
        file.write_bytes(content)
    (place / "tables" / "variants" / "2_" / "P2.parquet").rename(place / "tables" / "variants" / "2_" / "P3.parquet")
    found = command(*arguments, "--verify", check=False)
    again = "write it again with `baekman tables --output TABLES`, or `cohort freeze`"
    assert (found.returncode, found.stdout.splitlines()) == (
        1,
        [
            f"variants/1_/P1.parquet: another SHA-256 than when it was written; {again}",
            f"variants/2_/P2.parquet: absent; {again}",
            "variants/2_/P3.parquet: no seal, so it was added or renamed; delete it",
        ],
    )
    assert command(*frozen, check=False).stdout.splitlines() == [
        "sites/00000.parquet: another SHA-256 than when it was written; write it again with `baekman cohort freeze`",
        f"tables/reference/1_/P1.parquet: another SHA-256 than when it was written; {again}",
    ]
    (place / "tables" / "variants" / "2_" / "P3.parquet").unlink()
    command(*arguments)
    command("cohort", "freeze", "--cohort", place / "cohort", "--output", place / "freeze")
    assert command(*arguments, "--verify").stdout == command(*frozen).stdout == ""


def test_damaged_sites_are_merged_again(place: Path) -> None:
    file = next((place / "cohort" / "sites" / "00000001").glob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    (place / "cohort" / "sites" / "00000002" / "hashes.json").unlink()
    assert command("cohort", "repair", "--cohort", place / "cohort").stdout == "1\n2\n"
    assert file.read_bytes() == content
    assert verify(open_store(place / "cohort")) == []


def test_a_damaged_index_is_made_again(place: Path) -> None:
    store = open_store(place / "cohort")
    known = find_batches(store, ["P1", "P2"], at=read_snapshot(store))
    content = store.participants.read_bytes()
    for name in (b"P1", b"b2"):
        store.participants.write_bytes(content.replace(name, b"Q7"))
        assert find_batches(store, ["P1", "P2"], at=read_snapshot(store)) == known
        assert verify(store) == []


def test_the_failure_names_the_damaged_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "cohort" / "batches" / "b" / "roster.parquet"
    words = describe(DamagedFile(path), arguments=["--cohort", str(tmp_path / "cohort")], environment={})
    assert words == (
        f"a stored file is damaged: {path}; restore the batch from a back-up, or withdraw its participants and add "
        "their gVCFs again. `baekman verify` finds every damaged file"
    )
