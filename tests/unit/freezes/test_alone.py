"""A freeze stands by itself: what describes it, its bytes, and its proof without a cohort store."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import baekman
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.arrow import write_parquet
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import read_members
from baekman.cohort.store import Store, create_store
from baekman.columns import type_name
from baekman.engine.local import Engine
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import LIST, digest_of, read_sealed, write_sealed
from baekman.freezes import counts
from baekman.freezes.files import DESCRIBING, FILES, write_sums
from baekman.freezes.freeze import freeze
from baekman.freezes.reading import open_freeze
from baekman.freezes.verification import notes_on, verify_freeze
from support.example_workspace import LATER, PARTICIPANTS, example_workspace
from support.store_tools import baekman as run
from support.store_tools import hashes

FIRST, SECOND = PARTICIPANTS
AGAIN = "; write it again with `baekman cohort freeze`"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with lists of gVCFs, and a freeze ``F`` of three participants in two batches."""
    folder = tmp_path_factory.mktemp("alone")
    example_workspace(folder)
    freeze(store_of(folder, "two", ["first", "more"]), output=folder / "F", types=types)
    return folder


def types(participants: Sequence[str]) -> dict[str, str]:
    return {FIRST: "rare", SECOND: "general"}


def store_of(folder: Path, name: str, lists: Sequence[str]) -> Store:
    store = create_store(folder / name / "cohort", reference=folder / "ref.fa")
    for each in lists:
        add_batch(store, batch=f"batch-{each}", members=read_members(folder / f"{each}.tsv"))
    return store


def test_a_freeze_describes_itself(folder: Path) -> None:
    output = folder / "F"
    assert pq.read_table(output / "participants.parquet").to_pylist() == [
        {"participant_id": FIRST, "sex": "female", "type": "rare", "batch": "batch-first"},
        {"participant_id": SECOND, "sex": "male", "type": "general", "batch": "batch-first"},
        {"participant_id": LATER, "sex": "female", "type": None, "batch": "batch-more"},
    ]
    assert (output / "contigs.tsv").read_text().startswith("contig\tlength\tm5\nchr20\t2500\t")
    settings = json.loads((output / "settings.json").read_text())
    assert (settings["participants"], settings["store"]["thresholds"]["min_gq"]) == (3, 20)
    page = (output / "README.md").read_text()
    assert "| participants | 3 |" in page and "GQ of at least 20" in page and "`LowCallRate`" not in page
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=output, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    listed = {line.split("  ", 1)[1] for line in (output / "SHA256SUMS").read_text().splitlines()}
    assert listed == set(hashes(output)) - {"SHA256SUMS"}


def test_the_dictionary_has_each_column_of_each_file(folder: Path) -> None:
    with (folder / "F" / "dictionary.tsv").open(newline="") as text:
        rows = list(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert list(rows[0]) == ["file", "column", "type", "unit", "null_meaning", "description"]
    assert all(row["description"] for row in rows)
    for pattern in FILES:
        for path in (folder / "F").glob(pattern):
            columns = [(row["column"], row["type"]) for row in rows if row["file"] == pattern]
            if path.suffix == ".parquet":
                assert [(field.name, type_name(field.type)) for field in pq.read_schema(path)] == columns
            else:
                assert path.read_text().splitlines()[0].split("\t") == [name for name, _ in columns]


@pytest.mark.parametrize("way", ["order", "workers", "compaction", "withdrawal", "subset"])
def test_a_freeze_has_the_same_bytes(way: str, folder: Path, tmp_path: Path) -> None:
    lists = ["more", "first"] if way == "order" else ["first", "more"]
    store = store_of(folder, f"{tmp_path.name}", lists)
    if way == "compaction":
        assert len(rewrite.compact(store).batches) == 1
    if way in ("withdrawal", "subset"):  # one of the two of a batch
        never = create_store(tmp_path / "never", reference=folder / "ref.fa")
        for each in ("first", "more"):
            members = [member for member in read_members(folder / f"{each}.tsv") if member.participant_id != SECOND]
            add_batch(never, batch=f"batch-{each}", members=members)
        freeze(never, output=tmp_path / "expected", types=types)
    if way == "withdrawal":
        rewrite.withdraw(store, [SECOND])
    if way == "subset":
        snapshot = baekman.open_cohort(store.path).snapshot
        with rewrite.subset(store, snapshot, without=frozenset([SECOND])) as (part, _):
            freeze(part, output=tmp_path / "F", types=types)
    else:
        engine = Engine(workers=2 if way == "workers" else 1)
        freeze(store, output=tmp_path / "F", types=types, engine=engine)
    expected = tmp_path / "expected" if (tmp_path / "expected").exists() else folder / "F"
    assert hashes(tmp_path / "F") == hashes(expected)


def test_a_freeze_that_is_written_again_keeps_its_bytes_whatever_the_registry_says_now(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "F", tmp_path / "F")
    freeze(store_of(folder, tmp_path.name, ["first", "more"]), output=tmp_path / "F", types=lambda _: {FIRST: "severe"})
    assert hashes(tmp_path / "F") == hashes(folder / "F")


# -- the proof


def test_verify_proves_a_freeze_without_store_and_workspace(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "F", tmp_path / "F")
    done = run("verify", "--freeze", "F", cwd=tmp_path)
    assert done.stdout == "freeze F: whole\n"
    counted = "AC and AN were counted over the tables of all participants in all 1 shards"
    assert done.stderr == f"note: freeze F: {counted}\n"


def sealed_again(output: Path) -> None:
    """Write the digests of a freeze again, as someone who changes its content would."""
    noted = read_sealed(output / LIST)
    noted["files"] = {name: digest_of(output / name) for name in noted["files"]}
    noted["described"] = {name: digest_of(output / name) for name in noted["described"]}
    write_sealed(output / LIST, noted)
    write_sums(output)


def change_sites(name: str) -> Callable[[Path], None]:
    def change(output: Path) -> None:
        path = next((output / "sites").glob("*.parquet"))
        table = pq.read_table(path)
        number = table.schema.get_field_index(name)
        values = pa.array([value + 1 for value in table.column(name).to_pylist()], table.schema.field(name).type)
        write_parquet(table.set_column(number, table.schema.field(name), values), path)

    return change


def lose_participant(output: Path) -> None:
    path = output / "participants.parquet"
    write_parquet(pq.read_table(path).slice(1), path)


def change_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(output: Path) -> None:
        text = (output / name).read_text()
        assert old in text
        (output / name).write_text(text.replace(old, new, 1))

    return change


def change_rows(output: Path) -> None:
    noted = read_sealed(output / LIST)
    noted["rows"]["variants"] += 1
    write_sealed(output / LIST, noted)


SITES_FILE = "sites/00000.parquet"
OTHER_COLUMNS = "other columns than dictionary.tsv has"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (change_sites("ac"), f"{SITES_FILE}: another ac than the tables of the participants have, of 1 alleles"),
        (change_sites("an"), f"{SITES_FILE}: another an than the tables of the participants have, of 1 alleles"),
        (lose_participant, "participants.parquet: other participants than those with tables"),
        (change_text("dictionary.tsv", "\tsex\t", "\tgender\t"), f"participants.parquet: {OTHER_COLUMNS}"),
        (change_text("dictionary.tsv", "ac\tint64", "ac\tint32"), f"{SITES_FILE}: {OTHER_COLUMNS}"),
        (
            change_text("settings.json", '"min_gq": 20', '"min_gq": 30'),
            "settings.json: other settings than those that hashes.json names",
        ),
        (change_rows, "tables/variants: 3 rows, and hashes.json has 4"),
    ],
)
def test_content_that_contradicts_itself_is_found_though_the_digests_are_right(
    change: Callable[[Path], None], finding: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "F", tmp_path / "F")
    change(tmp_path / "F")
    sealed_again(tmp_path / "F")
    assert list(verify_freeze(tmp_path / "F")) == [finding + AGAIN]


def test_changed_absent_and_added_files_are_found(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "F"
    shutil.copytree(folder / "F", output)
    (output / "README.md").write_text("other")
    (output / "contigs.tsv").unlink()
    assert list(verify_freeze(output)) == [
        f"contigs.tsv: absent{AGAIN}",
        f"README.md: another SHA-256 than when it was written{AGAIN}",
    ]
    shutil.rmtree(output)
    shutil.copytree(folder / "F", output)
    lose_participant(output)
    found = list(verify_freeze(output))
    assert found == [f"participants.parquet: another SHA-256 than SHA256SUMS has{AGAIN}"]
    with pytest.raises(DamagedFile, match=r"participants\.parquet"):
        open_freeze(output).participants()
    sums = (output / "SHA256SUMS").read_text()
    (output / "participants.parquet").write_bytes((folder / "F" / "participants.parquet").read_bytes())
    (output / "notes.txt").touch()
    assert list(verify_freeze(output)) == ["notes.txt: not in SHA256SUMS, so it was added or renamed; delete it"]
    (output / "notes.txt").unlink()
    (output / "SHA256SUMS").write_text(sums.partition("\n")[2])
    assert list(verify_freeze(output)) == [f"SHA256SUMS: no line of README.md{AGAIN}"]
    (output / "SHA256SUMS").write_text(sums + f"{'0' * 64}  zzz\n")
    assert list(verify_freeze(output)) == [f"zzz: absent{AGAIN}"]
    (output / "SHA256SUMS").write_text("nothing\n")
    assert list(verify_freeze(output)) == [f"SHA256SUMS: damaged{AGAIN}"]
    (output / "SHA256SUMS").unlink()
    assert list(verify_freeze(output)) == [f"SHA256SUMS: absent{AGAIN}"]


def test_with_many_participants_some_shards_stand_for_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = open_freeze(folder / "F")
    shard = frozen.store.shards[0]
    object.__setattr__(frozen.store, "shards", (shard,) * 10)
    monkeypatch.setattr(counts, "OPENINGS", 6)
    assert len(counts.counted_shards(frozen)) == 2
    assert counts.counting_sentence(frozen).endswith("in 2 of 10 shards, a sample")


# -- a freeze of an earlier version


def test_a_freeze_of_an_earlier_version_is_read_and_what_it_lacks_is_said(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "F"
    shutil.copytree(folder / "F", output)
    for name in (*DESCRIBING, "participants.parquet", "SHA256SUMS"):
        (output / name).unlink()
    noted = read_sealed(output / LIST)
    write_sealed(output / LIST, {key: noted[key] for key in ("snapshot", "settings", "files", "participants", "seals")})
    frozen = baekman.open_cohort(output)
    assert frozen.calls(FIRST, "chr20:1001", columns=["pos"]).num_rows == 1
    assert frozen.participants().to_pylist()[2] == {"participant_id": LATER, "sex": None, "type": None, "batch": None}
    assert frozen.sql("FROM contigs").fetchall() == [("chr20", None, None)]
    assert list(verify_freeze(output)) == []
    names = "SHA256SUMS, README.md, dictionary.tsv, participants.parquet, contigs.tsv, shards.tsv, settings.json"
    sentence = f"a freeze of an earlier version, without {names}; `baekman cohort freeze` into its folder adds them"
    assert notes_on(output) == [sentence]
    done = run("query", "--cohort", "F", "--sql", "SELECT count(*) FROM participants", cwd=tmp_path)
    assert f"note: {sentence}\n" in done.stderr
    freeze(store_of(folder, tmp_path.name, ["first", "more"]), output=output, types=types)
    assert hashes(output) == hashes(folder / "F")


def test_damaged_settings_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "F", tmp_path / "F")
    (tmp_path / "F" / "settings.json").write_text("{")
    with pytest.raises(InputRefused, match=r"settings.json: expected the file as `baekman cohort freeze` wrote it"):
        open_freeze(tmp_path / "F")
