"""The public Python interface: its names, its examples, its events in the audit log, and what it costs to import."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import baekman
import baekman.api.cohort
import baekman.api.frozen_cohort
import baekman.api.opening
import baekman.query.genotypes
import baekman.tables.dataset
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from baekman import audit
from baekman.annotation.annotate import annotate
from baekman.annotation.sources import Sources
from baekman.cohort import rewrite
from baekman.errors import InputRefused
from baekman.freezes.freeze import freeze
from baekman.tables import keys as table_keys
from baekman.tables.make import make_tables
from support.example_workspace import LATER, PARTICIPANTS, example_genes, example_workspace

PUBLIC = [
    "Cohort",
    "FrozenCohort",
    "InputRefused",
    "Records",
    "Snapshot",
    "__version__",
    "create_cohort",
    "open_cohort",
    "open_freeze",
    "open_records",
    "open_table",
    "open_tables",
]
MODULES = (
    baekman.api.cohort,
    baekman.api.opening,
    baekman.api.frozen_cohort,
    baekman.tables.dataset,
    baekman.query.genotypes,
)
FIRST, SECOND = PARTICIPANTS


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    example_workspace(folder)
    return folder


@pytest.fixture
def place(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the example workspace, as the current folder."""
    folder = tmp_path / "place"
    shutil.copytree(example, folder)
    monkeypatch.chdir(folder)
    return folder


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder()
    return [
        test for module in MODULES for test in finder.find(module, extraglobs={"baekman": baekman}) if test.examples
    ]


def test_the_public_names() -> None:
    assert sorted(baekman.__all__) == sorted(PUBLIC)
    assert all(getattr(baekman, name) is not None for name in PUBLIC)
    with pytest.raises(AttributeError, match="module 'baekman' has no attribute 'open_everything'"):
        baekman.open_everything  # noqa: B018


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_the_example_of_a_docstring_runs(test: doctest.DocTest, place: Path) -> None:
    test.globs["cohort"] = baekman.open_cohort("W/cohort")
    if test.name.endswith(".annotations"):
        annotate(test.globs["cohort"].store, Sources(genes=example_genes(place)))
    result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(test)
    assert result.failed == 0 and result.attempted > 0


def test_every_public_name_and_method_has_an_example() -> None:
    names = {test.name.removeprefix("baekman.") for test in examples()}
    methods = {f"api.cohort.Cohort.{name}" for name in vars(baekman.Cohort) if not name.startswith("_")}
    functions = {
        "api.opening.open_cohort",
        "api.opening.create_cohort",
        "tables.dataset.open_table",
        "tables.dataset.open_tables",
    }
    assert {*methods, *functions, "api.cohort.Cohort", "api.frozen_cohort.open_freeze"} - names == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, baekman; baekman.__version__, dir(baekman);"
        "print([name for name in ('numpy', 'pyarrow', 'duckdb', 'polars', 'pandas', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


READS: dict[str, tuple[Callable[[baekman.Cohort], object], str, str]] = {
    "participants": (lambda cohort: cohort.participants(), "query", "1"),
    "sites": (lambda cohort: cohort.sites("chr20"), "query", "1"),
    "calls": (lambda cohort: cohort.calls(FIRST), "query", FIRST),
    "genotypes": (lambda cohort: list(cohort.genotypes()), "query", "1"),
    "scan": (lambda cohort: cohort.scan("calls"), "query", "1"),
    "sql": (lambda cohort: cohort.sql("SELECT 1"), "query", "1"),
    "write_tables": (lambda cohort: cohort.write_tables("out"), "tables", "1"),
    "export": (lambda cohort: cohort.export("x.bcf", format="bcf"), "export", "1"),
    "verify": (lambda cohort: cohort.verify(), "cohort.verify", "1"),
    "freeze": (lambda cohort: cohort.freeze("release"), "cohort.freeze", "1"),
    "add": (lambda cohort: cohort.add("b2", "more.tsv"), "cohort.add", "b2"),
    "replace": (lambda cohort: cohort.replace("r1", "better.tsv"), "cohort.replace", "r1"),
    "withdraw": (lambda cohort: cohort.withdraw([SECOND]), "cohort.withdraw", SECOND),
    "compact": (lambda cohort: cohort.compact(), "cohort.compact", "1"),
    "open_table": (lambda _: baekman.open_table("W/tables", FIRST), "query", FIRST),
    "open_tables": (lambda _: baekman.open_tables("W/tables"), "query", ""),
}


@pytest.mark.parametrize("name", READS)
def test_every_use_leaves_one_event(name: str, place: Path) -> None:
    use, action, shown = READS[name]
    use(baekman.open_cohort("W/cohort"))
    events = list(audit.events(place / "W"))[1:]
    assert [(event["action"], event["object"]) for event in events] == [(action, shown)]


def test_a_use_that_cannot_be_recorded_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("baekman.audit.log.noted_head.require_present", forbidden)
    for use in (lambda: baekman.open_cohort("W/cohort").calls(FIRST), lambda: baekman.open_table("W/tables", FIRST)):
        with pytest.raises(InputRefused, match="uses of individual data are recorded"):
            use()


def test_absent_things_are_refused(place: Path) -> None:
    cohort = baekman.open_cohort("W/cohort")
    refused: dict[str, Callable[[], object]] = {
        "found no such folder": lambda: baekman.open_cohort("nowhere"),
        "found 7": lambda: baekman.open_cohort("W/cohort", snapshot=7),
        "found no participant of that ID in snapshot 1": lambda: cohort.calls(LATER),
        "expected a contig of the store": lambda: cohort.sites("chr99"),
        "columns: expected some of contig, pos, .* found 'pso'": lambda: cohort.sites("chr20", columns=["pso"]),
        "mode: expected one of called, raw, joint, found 'raww'": lambda: cohort.genotypes(mode="raww"),
        "mode: expected one of called, raw, joint, found 'all'": lambda: cohort.export(
            "x.bcf", format="bcf", mode="all"
        ),
        "view: expected one of sites, calls, reference, participants, found 'members'": lambda: cohort.scan("members"),
        "Binder Error": lambda: cohort.sql("SELECT x FROM sites"),
        "a statement of another kind": lambda: cohort.sql("DROP VIEW sites"),
        "tables: expected a table of this participant, found none": lambda: baekman.open_table("W/tables", LATER),
        "tables: expected tables, found none; give the folder that has variants/, as W/tables": (
            lambda: baekman.open_tables("W/audit")
        ),
    }
    for message, use in refused.items():
        with pytest.raises(InputRefused, match=message):
            use()


def test_the_object_moves_to_the_snapshot_that_it_makes(place: Path) -> None:
    cohort = baekman.open_cohort("W/cohort")
    old = baekman.open_cohort("W/cohort", snapshot=1)
    assert cohort.sql("SELECT count(*) FROM participants").fetchall() == [(2,)]
    assert cohort.add("b2", "more.tsv").number == cohort.snapshot.number == 2
    assert cohort.sql("SELECT count(*) FROM participants").fetchall() == [(3,)]
    assert (old.snapshot.number, old.participants().num_rows) == (1, 2)
    assert [each.number for each in old.snapshots()] == [1, 2]


def test_answers_outlive_the_object_that_gave_them(place: Path) -> None:
    assert baekman.open_cohort("W/cohort").scan("sites").select("pos").collect()["pos"].to_list() == [1001]
    assert baekman.open_cohort("W/cohort").sql("SELECT count(*) FROM calls").fetchall() == [(2,)]


def test_genotypes_come_in_blocks_of_whole_positions(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = baekman.open_cohort("W/cohort").genotypes("chr20:1-1,001", mode="called")
    assert (block.copies.dtype, block.ploidy.dtype, block.state.dtype) == (np.int8, np.uint8, np.uint8)
    assert block.copies.shape == (block.sites.num_rows, len(block.participants)) == (1, 2)
    assert [block.STATES[state] for state in block.state[0]] == ["carrier", "carrier"]
    frame = block.to_pandas("ploidy")
    assert frame.index.names == ["contig", "pos", "ref", "alt"] and frame.to_numpy().tolist() == [[2, 2]]
    assert list(baekman.open_cohort("W/cohort").genotypes("chr20:1002-2000")) == []
    assert list(baekman.create_cohort("new", reference="ref.fa").genotypes()) == []


def test_a_snapshot_that_is_deleted_while_genotypes_are_read_is_reported(place: Path) -> None:
    cohort = baekman.open_cohort("W/cohort")
    blocks = cohort.genotypes()
    rewrite.withdraw(cohort.store, [SECOND])
    with pytest.raises(InputRefused, match="snapshot 1: expected one that stays while it is read"):
        next(blocks)


def add_a_contig(folder: Path) -> None:
    """Give each table of variants a second row group: its rows again, on chr21; the first can no longer be read."""
    shutil.rmtree(folder / "W" / "tables" / "hashes")
    for path in (folder / "W" / "tables" / "variants").glob("*/*.parquet"):
        table = pq.read_table(path)
        other = table.set_column(1, "contig", pa.array(["chr21"] * table.num_rows).dictionary_encode())
        with pq.ParquetWriter(path, table.schema) as writer:
            writer.write_table(table)
            writer.write_table(other)


def test_tables_are_pruned_by_participant_and_by_region(place: Path) -> None:
    add_a_contig(place)
    shutil.rmtree("W/cohort")  # without a cohort a region is taken as it is written
    everybody = baekman.open_tables("W/tables")
    assert everybody.count_rows() == 4
    assert len(list(everybody.get_fragments(ds.field("participant_id") == FIRST))) == 1
    frame = pl.scan_pyarrow_dataset(everybody).filter(pl.col("participant_id") == SECOND, pl.col("contig") == "chr20")
    assert frame.select("copies").collect()["copies"].to_list() == [2]
    assert baekman.open_tables("W/tables", participants=[SECOND]).count_rows() == 2
    for path in (place / "W" / "tables" / "variants").glob("*/*.parquet"):
        with path.open("r+b") as file:
            file.seek(4)
            file.write(bytes(100))  # the first row group, which is not read from here on
    with pytest.raises(OSError):
        baekman.open_tables("W/tables", region="chr20").to_table()
    for region, count in (("chr21", 2), ("chr21:1,001", 2), ("chr21:1-1000", 0), ("chr21:1002-", 0), ("chr22", 0)):
        inside = baekman.open_tables("W/tables", region=region)
        assert inside.count_rows() == inside.to_table().num_rows == count
        assert pl.scan_pyarrow_dataset(inside).collect().height == count


def test_reference_blocks_that_reach_into_a_region(place: Path) -> None:
    blocks = baekman.open_table("W/tables", FIRST, "chr20:900-1,000", dataset="reference", columns=["start", "end"])
    assert blocks.to_pylist() == [{"start": 1, "end": 1000}]


def test_encrypted_tables_are_opened_with_their_keys_and_with_nothing_else(place: Path) -> None:
    plain = baekman.open_table("W/tables", FIRST)
    table_keys.create(place / "W")
    cohort = baekman.open_cohort("W/cohort")
    make_tables(cohort.store, output=place / "W" / "tables", participants=[FIRST])
    assert baekman.open_table("W/tables", FIRST).equals(plain)
    assert sorted(baekman.open_tables("W/tables").to_table()["participant_id"].unique().to_pylist()) == [FIRST, SECOND]
    freeze(cohort.store, output=place / "release")
    with pytest.raises(InputRefused, match="found an encrypted table and no table_keys"):
        baekman.open_tables("release/tables")
    assert baekman.open_tables("release/tables", workspace="W", region="chr20").count_rows() == 2
    table_keys.destroy(place / "W", FIRST)
    assert baekman.open_tables("W/tables").to_table()["participant_id"].unique().to_pylist() == [SECOND]
    with pytest.raises(InputRefused, match="expected the key of this participant's tables"):
        baekman.open_table("W/tables", FIRST)


def test_the_python_interface_and_the_command_line_give_the_same_rows(place: Path) -> None:
    from support.store_tools import baekman as run

    cohort = baekman.open_cohort("W/cohort")
    for option, value, table in (
        ("--region", "chr20", cohort.sites("chr20")),
        ("--participant", FIRST, cohort.calls(FIRST)),
    ):
        run("query", "--cohort", "W/cohort", option, value, "--format", "parquet", "--output", "x.parquet", cwd=place)
        assert pl.read_parquet("x.parquet").equals(pl.from_arrow(table))


def test_the_command_that_verifies_reports_a_broken_snapshot_as_a_finding(place: Path) -> None:
    from support.store_tools import baekman as run

    Path("W/cohort/snapshots/00000001.json").write_text("{")
    done = run("cohort", "verify", "--cohort", "W/cohort", cwd=place, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "snapshots/00000001.json" in done.stdout
