"""Ready questions: carriers of an allele, counts in groups, joins, and tables of one's own."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.schema import SITES
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.errors import InputRefused
from baekman.query.ask import ask
from baekman.query.limits import Limits
from baekman.query.own_tables import own_tables
from baekman.query.question import Question, parse_allele
from baekman.query.views import VIEW_NAMES, Part, connect
from support.store_tools import block, gvcf_text, line, write_reference

BASES = "ACGT" * 30
# participant: batch, sex, genotype of A>T at 41, GQ
PEOPLE = {
    "P1": ("b1", "female", "0/1", 50),
    "P2": ("b1", "male", "1|1", 60),
    "P3": ("b2", "female", "0/0", 40),
    "P4": ("b2", "", "0/1", 3),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("questions")
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"c1": BASES}))
    members: dict[str, list[Member]] = {}
    for name, (batch, sex, genotype, gq) in PEOPLE.items():
        likelihoods = {"0/0": "0,60,600", "0/1": "60,0,60", "1|1": "600,60,0"}[genotype]
        lines = [
            block(1, 40, "A"),
            line(41, "A", "T", f"{genotype}:{gq}:20:10,10:{likelihoods}"),
            block(42, 90, "C"),
        ]
        if name == "P1":
            lines[2:] = [line(45, "A", "C", "0/1:50:20:10,10:60,0,60"), block(46, 90, "C")]
        path = folder / f"{name}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={"c1": len(BASES)}, sample=name))
        members.setdefault(batch, []).append(Member(participant_id=name, gvcf=str(path), sex=sex))
    for batch, some in members.items():
        add_batch(store, batch=batch, members=some)
    return store


def answer(store: Store, *, without: frozenset[str] = frozenset(), **question: Any) -> list[dict[str, Any]]:
    with ask(store, read_snapshot(store), Question(**question), without=without) as relation:
        rows: list[dict[str, Any]] = relation.pl().to_dicts()
    return rows


def refusal(store: Store, **question: Any) -> str:
    with pytest.raises(InputRefused) as refused:
        answer(store, **question)
    return str(refused.value)


def own(*texts: str | Path) -> dict[str, Any]:
    return {"own": own_tables([str(text) for text in texts], views=VIEW_NAMES)}


def test_carriers_have_genotypes_as_in_vcf(store: Store) -> None:
    rows = answer(store, carriers="c1:41:a:T")
    assert [
        tuple(row[name] for name in ("participant_id", "genotype", "copies", "gq", "dp", "called")) for row in rows
    ] == [
        ("P1", "0/1", 1, 50, 20, True),
        ("P2", "1|1", 2, 60, 20, True),
        ("P4", "0/1", 1, 3, 20, False),
    ]
    assert [row["participant_id"] for row in answer(store, carriers="c1:41:A:T", without=frozenset({"P2"}))] == [
        "P1",
        "P4",
    ]


def test_an_allele_that_nobody_has_is_refused_with_those_that_are_there(store: Store) -> None:
    refused = (
        "--carriers: expected an allele of snapshot 2, left-aligned and without common bases, found none of that name"
    )
    assert refusal(store, carriers="c1:41:A:G") == f"{refused} at c1:41: nobody carries it; alleles there are A>T"
    assert refusal(store, carriers="c1:42:C:G") == f"{refused} at c1:42: nobody carries it; no allele begins there"
    assert refusal(store, carriers="c1-41-A-G") == (
        "--carriers: expected an allele as contig:pos:ref:alt, 1-based, found 'c1-41-A-G'; e.g. chr20:1000:A:G; "
        "without an allele it goes with --region: --region chr20:1000 --carriers"
    )
    allele = parse_allele("c1:1:A:G", parse_region=store.parse_region)
    assert (allele.contig, allele.pos, allele.ref, allele.alt) == ("c1", 1, "A", "G")


def test_counts_in_groups_are_those_of_the_sites_together(store: Store) -> None:
    rows = answer(store, region="c1:41", by=("sex",))
    shown = [tuple(row[name] for name in ("sex", "ac", "an", "carriers", "called", "participants")) for row in rows]
    assert shown == [("female", 1, 4, 1, 2, 2), ("male", 2, 2, 1, 1, 1), ("unknown", 0, 0, 0, 0, 1)]
    assert [row["af"] for row in rows] == [0.25, 1.0, None]
    everywhere = pl.DataFrame(answer(store, region="c1", by=("batch", "sex")))
    assert everywhere.group_by("batch", "sex").len().height == 4
    sums = everywhere.group_by("contig", "pos", "ref", "alt").agg(pl.col("ac", "an").sum()).sort("pos")
    assert sums.to_dicts() == [{name: row[name] for name in sums.columns} for row in answer(store, region="c1")]
    assert sums["ac"].to_list() == [3, 1]
    (male,) = [
        row for row in answer(store, region="c1:41", by=("sex",), without=frozenset({"P1"})) if row["sex"] == "female"
    ]
    assert (male["ac"], male["an"], male["participants"]) == (0, 2, 1)
    assert answer(store, region="c1:100-110", by=("sex",)) == []
    assert refusal(store, region="c1", by=("sex",), limits=Limits(time=1e-9)).startswith(
        "--time-limit: expected an answer"
    )


def test_a_table_of_ones_own_joins_and_groups(store: Store, tmp_path: Path) -> None:
    (tmp_path / "pheno.csv").write_text(
        "participant_id,smokes,age\nP1,yes,50\nP2,no,NA\nP3,yes,40\n", encoding="utf-8-sig"
    )
    table = own(tmp_path / "pheno.csv")
    rows = answer(store, region="c1:41", by=("pheno.smokes",), **table)
    assert [(row["pheno_smokes"], row["ac"], row["an"]) for row in rows] == [
        ("no", 2, 2), ("unknown", 0, 0), ("yes", 1, 4),
    ]  # fmt: skip
    counted = "SELECT smokes, avg(age) AS age, count(*) AS n FROM calls JOIN pheno USING (participant_id)"
    joined = f"{counted} WHERE pos = 41 GROUP BY smokes"
    assert sorted(answer(store, sql=joined, **table), key=str) == [
        {"smokes": "no", "age": None, "n": 1},
        {"smokes": "yes", "age": 45.0, "n": 2},
    ]
    pl.DataFrame({"contig": ["c1"], "pos": [41], "gene": ["G"]}).write_parquet(tmp_path / "x.parquet")
    sql = "SELECT gene, ac FROM sites JOIN mine USING (contig, pos)"
    assert answer(store, sql=sql, **own(f"mine={tmp_path / 'x.parquet'}")) == [{"gene": "G", "ac": 3}]


def test_mistakes_in_a_table_of_ones_own_are_named_and_no_value_is(store: Store, tmp_path: Path) -> None:
    def refused(content: bytes, name: str = "pheno.csv", sql: str = "SELECT 1") -> str:
        (tmp_path / name).write_bytes(content)
        return refusal(store, sql=sql, **own(tmp_path / name))

    form = (
        "expected a table in CSV, TSV or Parquet: UTF-8, a header, the same columns in each line, found other content"
    )
    assert refused("participant_id,a\nP1,비밀\n".encode("cp949")) == (
        f"pheno.csv: line 2: {form}; save it again as CSV in UTF-8"
    )
    assert refused(b"P1\t3\nP2\t4\n", "pheno.tsv") == (
        "pheno.tsv: expected a column participant_id, or contig and pos, found 2 columns of other names; "
        "name the column of IDs participant_id"
    )
    assert refused(b"participant_id,a\nHOSP-1,1\n") == (
        "pheno.csv: participant_id: expected IDs of the cohort, such as P0123456789ABX, found 1 rows with other IDs; "
        "take the IDs that the cohort shows; codes of an institution are known to the registry alone"
    )
    (tmp_path / "some.csv").write_text("participant_id,a\nP1,1\nHOSP-1,2\n")
    with pytest.warns(UserWarning, match="^some: 1 of 2 rows have an ID that no view has$"):
        answer(store, sql="SELECT 1", **own(tmp_path / "some.csv"))
    misspelt = refusal(store, region="c1", by=("some.b",), **own(tmp_path / "some.csv"))
    assert misspelt.startswith("--by: expected columns of your tables, found Binder Error: ")
    assert misspelt.endswith("; some has participant_id VARCHAR, a BIGINT")
    message = refused(b"participant_id,age\nP1,old\n", sql="SELECT age + 1 FROM pheno")
    assert message.startswith(
        "--sql: expected SQL over the views sites, calls, reference, participants and pheno, found "
    )
    assert message.endswith("; pheno has participant_id VARCHAR, age VARCHAR") and "old" not in message
    assert refusal(store, region="c1", by=("pheno.age",)) == (
        "--by: expected labels out of sex, type, batch, found 'pheno.age'; "
        "a column of a table of your own is --with pheno.csv --by pheno.COLUMN"
    )
    (tmp_path / "pheno.csv").write_text("participant_id,age\nP1,1\nP1,2\n")
    assert refusal(store, region="c1", by=("pheno.age",), **own(tmp_path / "pheno.csv")) == (
        "pheno.csv: participant_id: expected each participant once, for --by, found 1 more rows of the same "
        "participants; keep one row for each participant"
    )
    assert refusal(store, sql="SELECT 1", **own(tmp_path / "no.csv")) == (
        "no.csv: expected a table in CSV, TSV or Parquet, found no such file; check the path"
    )
    with pytest.raises(InputRefused) as taken:
        own("calls=x.csv")
    assert str(taken.value) == (
        "--with: expected a name of letters, digits and _ that no other view has, found 'calls'; "
        "give the table another: --with pheno=FILE"
    )


def test_the_connection_stays_closed_next_to_a_table_of_ones_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "pheno.csv").write_text("participant_id\nP1\nP2\n")
    table = own(tmp_path / "pheno.csv")
    for sql in (f"SELECT * FROM read_csv('{tmp_path}/pheno.csv')", f"SELECT * FROM '{tmp_path}/pheno.csv'"):
        assert "Permission Error" in refusal(store, sql=sql, **table)
    with pytest.raises(InputRefused, match="found another table, file or table function"):
        answer(store, sql="SELECT * FROM shards, pheno", without=frozenset({"P1"}), **table)
    assert answer(store, sql="SELECT count(*) AS n FROM pheno", without=frozenset({"P1"}), **table) == [{"n": 2}]


def test_columns_of_one_name_mean_the_same_in_every_view(store: Store) -> None:
    """A join by the key has no column twice, so that `SELECT called FROM calls JOIN sites` is what it says.

    The view alone has the names of the files.
    """
    key = {"contig", "pos", "ref", "alt"}
    same = {"participant_id", "contig", "gq", "dp", "ploidy", "other", "called"}  # of calls and reference
    for name in ("called", "called_participants"):
        assert answer(store, sql=f"SELECT {name} FROM sites WHERE pos = 41") == [{name: 3}]
    assert answer(store, sql="SELECT * FROM sites")[0].keys() == set(SITES.names)
    refused = refusal(store, sql="SELECT sites.called FROM calls JOIN sites USING (contig, pos, ref, alt)")
    assert refused.endswith("; with calls or reference, `called` of sites is called_participants")
    with connect(store, read_snapshot(store), part=Part(sql="calls JOIN sites")) as connection:
        columns = {view: {*connection.table(view).columns} for view in VIEW_NAMES}
        joined = connection.sql("SELECT * FROM calls JOIN sites USING (contig, pos, ref, alt)").columns
        both = connection.sql(
            "SELECT participant_id, called, called_participants FROM calls JOIN sites USING (contig, pos, ref, alt) "
            "WHERE pos = 41 ORDER BY participant_id"
        ).fetchall()
    assert len(joined) == len({*joined})
    assert both == [("P1", True, 3), ("P2", True, 3), ("P3", True, 3), ("P4", False, 3)]
    shared = {pair: columns[pair[0]] & columns[pair[1]] for pair in combinations(VIEW_NAMES, 2)}
    assert shared == {
        ("sites", "calls"): key,
        ("sites", "reference"): {"contig"},
        ("sites", "participants"): set(),
        ("calls", "reference"): same,
        ("calls", "participants"): {"participant_id"},
        ("reference", "participants"): {"participant_id"},
    }
