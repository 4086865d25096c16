"""Verification finds every change that bypassed the store, and nothing in a sound store."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.cli.shared.opening import BARE
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import Store, create_store, open_store
from baekman.cohort.verify import whole as verification
from baekman.cohort.verify.gvcfs import compare_gvcfs
from baekman.cohort.verify.whole import verify
from baekman.errors import InputRefused
from baekman.files.digests import sealed_text
from support.store_tools import baekman, block, gvcf_text, line, reseal, write_reference

GENOME = "ACGTTTTACACACAGGCATTAGCCCGATATATACGGGTCAATTGGCCAACTGACTTTTTTGCA"
SHARDS = "shard\tcontig\tstart\tend\n0\tc1\t1\t30\n1\tc1\t31\t63\n"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three participants in two batches, two shards, two snapshots."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "shards.tsv").write_text(SHARDS)
    store = create_store(
        folder / "cohort",
        reference=write_reference(folder / "ref.fa", {"c1": GENOME}),
        shards_file=folder / "shards.tsv",
    )
    members = []
    for number in range(3):
        path = folder / f"{number}.g.vcf"
        lines = [
            block(1, 2, "A"),
            line(3, "G", "A,<NON_REF>", f"0/1:{50 - 20 * number}:30:14,16,0:250,0,300,400,400,400"),
            block(4, 50, "T"),
            line(51, "T", "G,<NON_REF>", "1/1:30:10:0,10,0:300,30,0,400,400,400"),
        ]
        path.write_text(gvcf_text(lines, contigs={"c1": len(GENOME)}))
        members.append(Member(participant_id=f"P{number}", gvcf=str(path)))
    add_batch(store, batch="b0", members=members[:2])
    add_batch(store, batch="b1", members=members[2:])
    return folder / "cohort"


def change(path: Path, how: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(path)
    pq.write_table(how(table), path)


def set_value(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def how(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[row] = value
        index = table.schema.get_field_index(column)
        return table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))

    return how


def reversed_rows(table: pa.Table) -> pa.Table:
    return table.take(np.arange(table.num_rows)[::-1].copy())


@pytest.fixture
def changing(sound: Path, tmp_path: Path) -> Store:
    """Return a copy of the sound store."""
    shutil.copytree(sound, tmp_path / "cohort")
    return open_store(tmp_path / "cohort")


def during(monkeypatch: pytest.MonkeyPatch, function: str, happens: Callable[[], object]) -> None:
    """Let something happen when ``verify`` first calls ``function``."""
    original = getattr(verification, function)

    def called(*arguments: object, **named: object) -> object:
        monkeypatch.undo()
        happens()
        return original(*arguments, **named)

    monkeypatch.setattr(verification, function, called)


@pytest.mark.parametrize("function", ["_unreadable", "_batch", "_snapshot", "_index", "verify_shard"])
def test_a_withdrawal_at_the_same_time_is_reported_and_no_finding(
    changing: Store, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    during(monkeypatch, function, lambda: rewrite.withdraw(changing, ["P0"]))
    with pytest.raises(InputRefused) as refused:
        verify(changing)
    assert str(refused.value) == (
        "snapshot 1: expected one that stays while it is read, found one that a withdrawal or compaction deleted; "
        "run the same command again"
    )
    assert verify(changing) == []


@pytest.mark.parametrize("function", ["_unreadable", "_index", "_compare_index", "verify_shard"])
def test_a_batch_that_is_added_at_the_same_time_is_no_finding(
    changing: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "added.g.vcf"
    path.write_text(gvcf_text([block(1, 2, "A")], contigs={"c1": len(GENOME)}))
    added = [Member(participant_id="P9", gvcf=str(path))]
    during(monkeypatch, function, lambda: add_batch(changing, batch="b2", members=added))
    assert verify(changing) == []


def test_a_sound_store_has_no_finding(sound: Path) -> None:
    done = baekman("cohort", "verify", "--cohort", sound)
    assert (done.stdout, done.stderr) == ("", f"{BARE}\n")


def test_it_stays_sound_through_withdrawal_and_compaction(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "c")
    store = open_store(tmp_path / "c")
    rewrite.withdraw(store, ["P1"])
    assert verify(store) == []
    rewrite.compact(store)
    assert verify(store) == []


# the change, whether the batch is sealed again (as if it had been written so), and the findings
CASES: dict[str, tuple[str, Callable[[pa.Table], pa.Table], bool, list[str]]] = {
    "a byte": (
        "batches/b0/calls/0.parquet",
        lambda table: table,
        False,
        ["batches/b0/calls/0.parquet: another SHA-256 than when it was written"],
    ),
    "order": (
        "batches/b0/calls/0.parquet",
        reversed_rows,
        True,
        ["batches/b0/calls/0.parquet: rows out of order or twice"],
    ),
    "copies": (
        "batches/b0/calls/0.parquet",
        set_value("copies", 0, 2),
        True,
        ["batches/b0/census/0.parquet: not the sum of the call rows"],
    ),
    "ref": (
        "batches/b0/calls/0.parquet",
        set_value("ref", 0, "T"),
        True,
        [
            "batches/b0/calls/0.parquet: rows out of order or twice",
            "batches/b0/calls/0.parquet: a REF that differs from the reference",
            "batches/b0/census/0.parquet: not the sum of the call rows",
        ],
    ),
    "sample": (
        "batches/b0/calls/0.parquet",
        set_value("sample", 1, 7),
        True,
        ["batches/b0/calls/0.parquet: a sample that is not in the roster"],
    ),
    "shard": (
        "batches/b0/calls/1.parquet",
        set_value("pos", 0, 3),
        True,
        [
            "batches/b0/calls/1.parquet: a row outside of the shard",
            "batches/b0/census/1.parquet: not the sum of the call rows",
            "batches/b0/called/1.parquet: not the sum of call rows and segments",
        ],
    ),
    "caller filter": (
        "batches/b0/calls/0.parquet",
        set_value("filter", 0, 1),
        True,
        ["batches/b0/calls/0.parquet: a filter that is not in the roster"],
    ),
    "other copies": (
        "batches/b0/calls/0.parquet",
        set_value("other", 0, 2),
        True,
        ["batches/b0/calls/0.parquet: a row with more copies than its ploidy, or a ploidy other than 1 and 2"],
    ),
    "phase": (
        "batches/b0/calls/0.parquet",
        set_value("phase", 0, 4),
        True,
        ["batches/b0/calls/0.parquet: a value out of range"],
    ),
    "other copies of a segment": (
        "batches/b0/reference/0.parquet",
        set_value("other", 0, 3),
        True,
        ["batches/b0/reference/0.parquet: a segment of an unknown state or ploidy"],
    ),
    "overlap": (
        "batches/b0/reference/0.parquet",
        set_value("length", 0, 4),
        True,
        [
            "batches/b0/reference/0.parquet: segments of a participant overlap",
            "batches/b0: shard 0: a call row inside a reference segment of its participant",
            "batches/b0/called/0.parquet: not the sum of call rows and segments",
        ],
    ),
    "census": (
        "batches/b1/census/1.parquet",
        set_value("hom", 0, 9),
        True,
        ["batches/b1/census/1.parquet: not the sum of the call rows"],
    ),
    "schema": (
        "batches/b1/census/1.parquet",
        lambda table: table.drop_columns(["dosage"]),
        True,
        ["batches/b1/census/1.parquet: another schema"],
    ),
    "sites": (
        "sites/00000002/0.parquet",
        set_value("ac", 0, 9),
        True,
        ["sites/00000002/0.parquet: not the sum of its batches"],
    ),
    "metadata of sites": (
        "sites/00000002/1.parquet",
        lambda table: table.replace_schema_metadata(table.schema.metadata | {b"baekman.settings": b"others"}),
        True,
        ["sites/00000002/1.parquet: metadata of another snapshot or store"],
    ),
    "a column of sites": (
        "sites/00000002/0.parquet",
        lambda table: table.drop_columns(["uncalled"]),
        True,
        ["sites/00000002/0.parquet: another schema"],
    ),
    "older sites": (
        "sites/00000001/0.parquet",
        set_value("af", 0, 0.9),
        True,
        ["sites/00000001/0.parquet: not the sum of its batches"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_found(sound: Path, tmp_path: Path, case: str) -> None:
    place, how, sealed, findings = CASES[case]
    shutil.copytree(sound, tmp_path / "c")
    path = tmp_path / "c" / place
    change(path, how)
    if sealed:
        reseal(tmp_path / "c")
    assert verify(open_store(tmp_path / "c")) == findings


@pytest.mark.parametrize("kind", ["", "called/"])
def test_a_flipped_bit_that_readers_skip_is_found(sound: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(sound, tmp_path / "c")
    path = tmp_path / "c" / "sites" / "00000002" / f"{kind}0.parquet"
    whole = path.read_bytes()
    table = pq.read_table(path)
    for found in re.finditer(rb"\x18\x04", whole):
        at = found.end()  # perhaps a statistic of a column, by which a query skips row groups
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with contextlib.suppress(OSError, pa.ArrowException, UnicodeDecodeError):
            if pq.read_table(path).equals(table):
                break
    assert pq.read_table(path).equals(pq.read_table(sound / "sites" / "00000002" / f"{kind}0.parquet"))
    assert verify(open_store(tmp_path / "c")) == [
        f"sites/00000002/{kind}0.parquet: another SHA-256 than when it was written"
    ]
    reseal(tmp_path / "c")
    assert verify(open_store(tmp_path / "c")) == [f"sites/00000002/{kind}0.parquet: other bytes than were written"]


def test_counts_that_differ_from_the_roster(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "c")
    batch = tmp_path / "c" / "batches" / "b0"
    change(
        batch / "roster.parquet", lambda t: set_value("call_rows", 0, 5)(t).replace_schema_metadata(t.schema.metadata)
    )
    reseal(tmp_path / "c")
    assert verify(open_store(tmp_path / "c")) == ["batches/b0/roster.parquet: call_rows are not those of the shards"]


def test_a_broken_file_is_a_finding(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "c")
    path = tmp_path / "c" / "batches" / "b0" / "called" / "1.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert verify(open_store(tmp_path / "c")) == [
        "batches/b0/called/1.parquet: another SHA-256 than when it was written"
    ]


@pytest.mark.parametrize(
    ("place", "contents", "finding"),
    [
        ("batches/b0/roster.parquet", b"PAR1", "batches/b0/roster.parquet: cannot be read (DamagedFile)"),
        ("batches/b0/hashes.json", b"{", "batches/b0/hashes.json: cannot be read (DamagedFile)"),
        ("batches/b0/inputs", None, "batches/b0/inputs: absent"),
        ("reference.seq", None, "reference.seq: absent"),
    ],
)
def test_a_missing_file_that_the_rest_depends_on_is_a_finding(
    sound: Path, tmp_path: Path, place: str, contents: bytes | None, finding: str
) -> None:
    shutil.copytree(sound, tmp_path / "c")
    if contents is None:
        (tmp_path / "c" / place).unlink()
    else:
        (tmp_path / "c" / place).write_bytes(contents)
    assert verify(open_store(tmp_path / "c")) == [finding]


def test_a_digest_that_is_no_number_is_a_finding(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "c")
    path = tmp_path / "c" / "snapshots" / "00000001.json"
    text = path.read_text()
    path.write_text(sealed_text(json.loads(text.replace('"digest": "', '"digest": "s'))))
    assert verify(open_store(tmp_path / "c")) == ["snapshots/00000001.json: cannot be read (ValueError)"]


def test_reference_snapshot_and_index(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "c")
    folder = tmp_path / "c"
    bases = bytearray((folder / "reference.seq").read_bytes())
    bases[62] = ord("C")
    (folder / "reference.seq").write_bytes(bases)
    snapshot = json.loads((folder / "snapshots" / "00000002.json").read_text())
    (folder / "snapshots" / "00000002.json").write_text(sealed_text(snapshot | {"participants": 4}))
    with sqlite3.connect(folder / "participants.sqlite") as connection:
        connection.execute("DELETE FROM participants WHERE participant_id = 'P0'")
    assert verify(open_store(folder)) == [
        "reference.seq: contig c1 does not have its M5",
        "snapshots/00000002.json: participants or content do not follow from its batches",
        "participants.sqlite: damaged (DatabaseError); the next command makes it again",
    ]
    done = baekman("cohort", "verify", "--cohort", folder, "--workers", "2", check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 3)


def test_an_index_that_is_broken_or_was_never_made(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cohort #1? %20"  # characters with a meaning in a URI
    shutil.copytree(sound, folder)
    assert verify(open_store(folder)) == []
    (folder / "participants.sqlite").write_bytes(b"")  # after a kill at its beginning
    assert verify(open_store(folder)) == []
    (folder / "participants.sqlite").write_bytes(b"no database" * 100)
    assert verify(open_store(folder)) == [
        "participants.sqlite: damaged (DatabaseError); the next command makes it again"
    ]


def test_an_index_after_a_killed_change_is_no_finding(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(sound, folder)
    # killed when the pages are changed in the file and their old contents lie in the journal
    program = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "connection.execute('PRAGMA cache_size = 1'); connection.execute('PRAGMA cache_spill = 1');"
        "connection.executemany('INSERT INTO participants VALUES (1, ?, ?)', ((f'X{n}', 'b') for n in range(5000)));"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder / "participants.sqlite")], check=False)
    assert (folder / "participants.sqlite-journal").stat().st_size
    assert verify(open_store(folder)) == []


def test_a_store_is_compared_with_the_gvcfs_that_went_in(sound: Path, tmp_path: Path) -> None:
    folder = sound.parent
    listed = tmp_path / "list.tsv"
    listed.write_text("".join(f"P{number}\t{folder / f'{number}.g.vcf'}\n" for number in range(3)))
    done = baekman("cohort", "verify", "--cohort", sound, "--gvcfs", listed)
    assert (done.stdout, done.returncode) == ("", 0)
    listed.write_text(f"P0\t{folder / '1.g.vcf'}\nP9\t{folder / '2.g.vcf'}\n")
    done = baekman("cohort", "verify", "--cohort", sound, "--gvcfs", listed, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "participant P0: another gVCF than the one that went in",
        "participant P9: not in the cohort",
    ]


@pytest.mark.parametrize(
    ("kind", "column"), [("calls", "gq"), ("calls", "copies"), ("reference", "length"), ("reference", "gq")]
)
def test_a_difference_from_the_gvcf_is_found(sound: Path, tmp_path: Path, kind: str, column: str) -> None:
    """The rest of the store was changed to agree with it."""
    store_path = tmp_path / "cohort"
    shutil.copytree(sound, store_path)
    path = store_path / "batches" / "b0" / kind / "1.parquet"
    change(path, set_value(column, 0, 1))
    reseal(store_path)
    members = [Member(participant_id=f"P{number}", gvcf=str(sound.parent / f"{number}.g.vcf")) for number in range(3)]
    assert compare_gvcfs(open_store(store_path), members) == [f"participant P0: {kind} of shard 1 differ from the gVCF"]
