"""Questions to the cohort: the rows of the views, and the limits of SQL."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store, open_store
from baekman.errors import InputRefused
from baekman.genome.regions import Region
from baekman.gvcf.thresholds import GvcfRules
from baekman.query.ask import ask, check_sql
from baekman.query.limits import Limits
from baekman.query.output import Output, write_answer
from baekman.query.question import Question
from baekman.query.views import connect
from baekman.tables.make import make_tables
from support.store_tools import baekman, block, gvcf_text, line, write_reference

GENOME = "ACGTTTTACACACAGGCATTAGCCCGATATATACGGGTCAATTGGCCAACTGACTTTTTTGCA"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two participants in two batches."""
    folder = tmp_path_factory.mktemp("query")
    contigs = {"c1": GENOME, "HLA:1": GENOME[:20]}
    store = create_store(
        folder / "cohort",
        reference=write_reference(folder / "ref.fa", contigs),
        rules=GvcfRules(aliases={"1": "c1"}),
    )
    texts = {
        "P1": [
            line(3, "G", "A,<NON_REF>", "0/1:50:30:14,16,0:250,0,300,400,400,400", filter="LowQual"),
            block(4, 20, "T"),
            line(21, "A", "T,<NON_REF>", "1:30:10:0,10,0:300,0,400"),
        ],
        "P2": [line(3, "G", "C,<NON_REF>", "1/1:9:.:.:.")],
    }
    for name, lines in texts.items():
        path = folder / f"{name}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={n: len(b) for n, b in contigs.items()}, sample=name))
        add_batch(store, batch=f"b{name}", members=[Member(participant_id=name, gvcf=str(path))])
    return store


def answer(store: Store, capfdbinary: pytest.CaptureFixture[bytes], **question: object) -> list[dict[str, object]]:
    with ask(store, read_snapshot(store), Question(**question)) as relation:  # type: ignore[arg-type]
        write_answer(relation, Output(format="csv"))
    out = capfdbinary.readouterr().out
    return pl.read_csv(out).to_dicts() if out.count(b"\n") > 1 else []


def test_a_region_has_its_sites(store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = answer(store, capfdbinary, region="c1:3-20")
    assert [(site["contig"], site["pos"], site["ref"], site["alt"], site["ac"], site["an"]) for site in rows] == [
        ("c1", 3, "G", "A", 1, 2),
        ("c1", 3, "G", "C", 0, 2),
    ]


def test_a_participant_has_call_rows(store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    first, second = answer(store, capfdbinary, participant="P1")
    assert {key: first[key] for key in ("participant_id", "pos", "copies", "gq", "dp", "pl", "caller_filter")} == {
        "participant_id": "P1",
        "pos": 3,
        "copies": 1,
        "gq": 50,
        "dp": 30,
        "pl": "250,0,300",
        "caller_filter": "LowQual",
    }
    assert (second["pos"], second["ploidy"], second["pl"], second["caller_filter"]) == (21, 1, "300,0", None)
    (missing,) = answer(store, capfdbinary, participant="P2")
    assert [missing[key] for key in ("dp", "ad_ref", "pl", "called")] == [None, None, None, False]


def test_a_participant_in_a_region(store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = answer(store, capfdbinary, participant="P1", region="c1:21")
    assert [row["pos"] for row in rows] == [21]


def test_a_region_of_a_finished_table_is_of_its_contig(
    store: Store, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    make_tables(store, output=tmp_path)
    question = {"participant": "P1", "tables": tmp_path}
    assert [row["pos"] for row in answer(store, capfdbinary, region="c1:1-20", **question)] == [3]
    assert answer(store, capfdbinary, region="HLA:1:1-20", **question) == []


def test_sql_sees_every_view(store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = (
        "SELECT (SELECT count(*) FROM sites) sites, (SELECT count(*) FROM calls) calls, "
        '(SELECT max("end") FROM reference) last, (SELECT count(*) FROM participants) people'
    )
    assert answer(store, capfdbinary, sql=sql) == [{"sites": 3, "calls": 3, "last": 20, "people": 2}]


def test_an_older_snapshot_has_its_own_participants(store: Store) -> None:
    with connect(store, read_snapshot(store, 1)) as connection:
        assert connection.sql("SELECT participant_id FROM calls").fetchall() == [("P1",), ("P1",)]
        assert connection.sql("SELECT count(*) FROM sites").fetchall() == [(2,)]


def test_a_question_opens_only_the_files_that_it_needs(
    store: Store, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Sites of a region need no batch, and a participant's calls only the batch of the participant."""
    copy = open_store(shutil.copytree(store.path, tmp_path / "cohort"))
    shutil.rmtree(copy.batch("bP2"))
    assert [row["pos"] for row in answer(copy, capfdbinary, participant="P1")] == [3, 21]
    shutil.rmtree(copy.path / "batches")
    assert len(answer(copy, capfdbinary, region="c1:3-20")) == 2


@pytest.mark.parametrize("question", [{"participant": "P1"}, {"sql": "SELECT count(*) FROM calls"}])
def test_a_snapshot_that_is_deleted_while_it_is_read_is_reported(
    store: Store, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], question: dict[str, str]
) -> None:
    copy = open_store(shutil.copytree(store.path, tmp_path / "cohort"))
    with (
        pytest.raises(InputRefused) as refused,
        ask(copy, read_snapshot(copy), Question(**question)) as relation,  # type: ignore[arg-type]
    ):
        rewrite.compact(copy)
        write_answer(relation, Output(format="csv"))
    assert str(refused.value) == (
        "snapshot 2: expected one that stays while it is read, found one that a withdrawal or compaction deleted; "
        "run the same command again"
    )
    assert answer(copy, capfdbinary, **question)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_blob('{folder}/cohort/store.json')",
    ],
)
def test_sql_reads_no_other_file(store: Store, tmp_path: Path, sql: str) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    question = Question(sql=sql.format(other=other, folder=store.path.parent))
    with pytest.raises(InputRefused, match="Permission Error"), ask(store, read_snapshot(store), question) as relation:
        relation.fetchall()


@pytest.mark.parametrize(
    "sql",
    ["COPY (SELECT 1) TO 'x'", "SET lock_configuration = false", "CREATE TABLE x (a int)", "INSTALL httpfs",
     "ATTACH 'x.db'", "DELETE FROM members", "PRAGMA version", "SELECT 1; SELECT 2", ""],
)  # fmt: skip
def test_sql_that_does_more_than_read_is_refused(sql: str) -> None:
    with pytest.raises(InputRefused, match="expected one SELECT over the views"):
        check_sql(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (SELECT 1) INSERT INTO shards SELECT 'a', 'b'",
        "WITH x AS (SELECT 1) DELETE FROM shards",
        "WITH x AS (INSERT INTO shards VALUES ('a', 'b') RETURNING *) SELECT * FROM x",
        "WITH x AS (UPDATE shards SET contig = 'a' RETURNING *) SELECT * FROM x",
        "WITH x AS (DELETE FROM shards RETURNING *) SELECT * FROM x",
        "SELECT * FROM (WITH x AS (DELETE FROM shards RETURNING *) SELECT * FROM x)",
        "WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) SELECT * FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
        "/* */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
        "EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
        "EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) SELECT * FROM x",
        "EXPLAIN ANALYZE DELETE FROM shards",
        "EXPLAIN ANALYZE SET memory_limit = '1TB'",
        "SELECT * FROM query('WITH x AS (COPY (SELECT 1) TO ''{file}'' (USE_TMP_FILE false)) SELECT * FROM x')",
    ],
)
def test_no_part_of_a_statement_writes(store: Store, sql: str) -> None:
    file = store.batch("bP1") / "roster.parquet"  # one that the connection may read
    before = file.read_bytes()
    with pytest.raises(InputRefused), ask(store, read_snapshot(store), Question(sql=sql.format(file=file))) as relation:
        relation.fetchall()
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    ["FROM sites", "VALUES (1)", "DESCRIBE sites", "SUMMARIZE sites", "EXPLAIN SELECT * FROM calls",
     "EXPLAIN ANALYZE SELECT 1", "EXPLAIN (FORMAT json) SELECT 1", "SELECT 1 UNION SELECT 2 -- two", "SELECT 1;",
     "WITH RECURSIVE r AS (SELECT 1 a UNION ALL SELECT a + 1 FROM r WHERE a < 5) SELECT * FROM r",
     "SELECT contig, list(pos ORDER BY pos) FILTER (WHERE ac > 0) FROM sites GROUP BY ALL HAVING count(*) > 0"],
)  # fmt: skip
def test_statements_that_read_run(store: Store, sql: str) -> None:
    with ask(store, read_snapshot(store), Question(sql=sql)) as relation:
        assert relation.fetchall()


@pytest.mark.parametrize("sql", ["SHOW TABLES", "show all tables;"])
def test_show_tables_names_what_a_user_may_read(store: Store, sql: str) -> None:
    for without in (frozenset[str](), frozenset(("P1",))):
        with ask(store, read_snapshot(store), Question(sql=sql), without=without) as relation:
            assert relation.fetchall() == [("sites",), ("calls",), ("reference",), ("participants",)]


def test_a_missing_file_of_sites_is_no_fault_of_the_question(store: Store, tmp_path: Path) -> None:
    copy = replace(store, path=tmp_path / "cohort")
    shutil.copytree(store.path, copy.path)
    file = min(copy.sites(read_snapshot(copy).number).glob("*.parquet"))
    file.unlink()
    with pytest.raises(FileNotFoundError) as missing, ask(copy, read_snapshot(copy), Question(region="c1")):
        pass
    assert missing.value.filename == str(file)


def test_a_query_ends_at_its_limits(store: Store) -> None:
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range < 0"
    sorting = "SELECT max(x) FROM (SELECT range AS x FROM range(30000000) ORDER BY hash(range) LIMIT 29000000)"
    for question, message in (
        (Question(sql=endless, limits=Limits(time=0.2)), "--time-limit: expected an answer within 0.2 seconds, "),
        (Question(sql=sorting, limits=Limits(memory="50MB", spill="1MB")),
         "--memory-limit, --spill-limit: expected an answer within 50MB of memory and 1MB on disk, "),
    ):  # fmt: skip
        with pytest.raises(InputRefused) as refused, ask(store, read_snapshot(store), question) as relation:
            relation.fetchall()
        assert str(refused.value) == (
            f"{message}found a query that needs more; ask for less (a region, fewer columns), or raise the limit"
        )


@pytest.mark.parametrize("size", ["", "4", "-4GB", "0GB", "4 gigabytes", "90%"])
def test_a_limit_that_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(InputRefused, match="--spill-limit: expected a size such as 4GB or 500MiB"):
        Limits(spill=size)


def test_messages(store: Store) -> None:
    cases = {
        ("--sql", "SELEC 1"): "--sql: expected SQL over the views sites, calls, reference and participants, found "
        'Parser Error: syntax error at or near "SELEC"',
        ("--participant", "P9"): "--participant: expected a participant of the cohort, found no participant of "
        'that ID in snapshot 2; `--sql "SELECT participant_id FROM participants"` lists those that it has\n',
        (
            "--region",
            "c9:1-2",
        ): "--region: expected a contig of the store's reference (c1, HLA:1), or contig:start-end, "
        "found 'c9:1-2'; e.g. c1:1000-2000\n",
    }
    for question, message in cases.items():
        done = baekman("query", "--cohort", store.path, *question, check=False)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith(f"refused: {message}")


def test_parquet_keeps_lists(store: Store, tmp_path: Path) -> None:
    output = tmp_path / "x.parquet"
    with ask(store, read_snapshot(store), Question(participant="P1")) as relation:
        write_answer(relation, Output(file=output))
    assert pq.read_table(output)["pl"].to_pylist() == [[250, 0, 300], [300, 0]]


@pytest.mark.parametrize(
    ("text", "contig", "start", "end"),
    [
        ("c1", "c1", 1, 63),
        ("c1:5", "c1", 5, 5),
        ("c1:5-", "c1", 5, 63),
        ("c1:1,0-2,0", "c1", 10, 20),
        ("c1:5-99999", "c1", 5, 63),
        ("1:5-6", "c1", 5, 6),
        ("HLA:1", "HLA:1", 1, 20),
        ("HLA:1:2-3", "HLA:1", 2, 3),
    ],
)
def test_regions_as_people_write_them(store: Store, text: str, contig: str, start: int, end: int) -> None:
    assert store.parse_region(text) == Region(contig, start, end)


@pytest.mark.parametrize("text", ["c1:0-5", "c1:9-5", "c1:100-200", "c2", "", "c1:a-b"])
def test_texts_that_are_no_region(store: Store, text: str) -> None:
    with pytest.raises(InputRefused, match="--region"):
        store.parse_region(text)
