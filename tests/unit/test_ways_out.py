"""Every way out of a cohort asks for consent: each way against each kind of denial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import baekman
import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from baekman import audit
from baekman.cli.shared.query_options import of_finished_table
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store, open_store
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision, Scope
from baekman.errors import InputRefused
from baekman.export import write
from baekman.freezes import freeze as tables_of_freeze
from baekman.freezes.verification import verify_freeze
from baekman.query.limits import Limits
from baekman.query.own_tables import OwnTable
from baekman.query.question import Question
from baekman.registry.denied_list import add_consent, open_in_force
from baekman.registry.listing import types_of
from baekman.tables import make
from baekman.tables.files import table_path
from baekman.workspace.denied import mark_withdrawn
from cyvcf2 import VCF
from support.finished_workspace import FinishedWorkspace
from support.store_tools import baekman as run

YESTERDAY = date.today() - timedelta(days=1)
DENIED = 1  # the number of the participant who is denied


def consent(workspace: FinishedWorkspace, number: int, **terms: object) -> None:
    event = ConsentEvent(
        participant_id=workspace.participant_ids[number],
        valid_from=date(2025, 2, 1),
        **terms,  # type: ignore[arg-type]
    )
    add_consent(workspace, event, registry=workspace.opened_registry)


def refuse(workspace: FinishedWorkspace) -> str:
    consent(workspace, DENIED, decision=Decision.REFUSED, scopes=ALL_SCOPES)
    return ""


def end(workspace: FinishedWorkspace) -> str:
    consent(workspace, DENIED, decision=Decision.GRANTED, scopes=(Scope.GENOME,), valid_to=YESTERDAY)
    return ""


def mark(workspace: FinishedWorkspace) -> str:
    mark_withdrawn(workspace, workspace.participant_ids[DENIED])
    return ""


def leave_pending(workspace: FinishedWorkspace) -> str:
    workspace.pending_denials.write_text(f"#{{}}\n{workspace.participant_ids[DENIED]}\t0001-01-01\t\n")
    return ""


def grant_commercial(workspace: FinishedWorkspace, *numbers: int) -> None:
    for number in numbers:
        consent(workspace, number, decision=Decision.GRANTED, scopes=(Scope.GENOME, Scope.COMMERCIAL_USE))


def grant_others_the_purpose(workspace: FinishedWorkspace) -> str:
    grant_commercial(workspace, 0, 2)
    return "commercial"


def leave_the_purpose_pending(workspace: FinishedWorkspace) -> str:
    grant_commercial(workspace, 0, 1, 2)
    line = f"{workspace.participant_ids[DENIED]}\t0001-01-01\t\tcommercial_use\n"
    workspace.pending_denials.write_text(f"#{{}}\n{line}")
    return "commercial"


DENIALS = [refuse, end, mark, leave_pending, grant_others_the_purpose, leave_the_purpose_pending]


def _shown_in_tables(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*/*/*.parquet")}


def export(cohort: baekman.Cohort, output: Path) -> set[str]:
    cohort.export(output / "x.bcf", format="bcf")
    with_file = VCF(str(output / "x.bcf"))
    for record in with_file:
        shown = [alleles for *alleles, _ in record.genotypes]
        assert record.INFO["AN"] == sum(allele >= 0 for alleles in shown for allele in alleles)
        assert record.INFO["AC"] == sum(allele > 0 for alleles in shown for allele in alleles) > 0
    return set(with_file.samples)


def write_tables(cohort: baekman.Cohort, output: Path) -> set[str]:
    assert cohort.write_tables(output / "t") == len(_shown_in_tables(output / "t"))
    return _shown_in_tables(output / "t")


def freeze(cohort: baekman.Cohort, output: Path) -> set[str]:
    cohort.freeze(output / "f")
    shown = _shown_in_tables(output / "f" / "tables")
    sites = pl.read_parquet(output / "f" / "sites" / "*.parquet")
    assert sites["participants"].unique().to_list() == [len(shown)]
    assert sites["an"].max() <= 2 * len(shown)  # type: ignore[operator]
    return shown


def sql(view: str) -> Callable[[baekman.Cohort, Path], set[str]]:
    def shown(cohort: baekman.Cohort, _: Path) -> set[str]:
        return {row[0] for row in cohort.sql(f"SELECT DISTINCT participant_id FROM {view}").fetchall()}

    return shown


def scan(cohort: baekman.Cohort, _: Path) -> set[str]:
    return set(cohort.scan("calls").collect()["participant_id"])


def roster(cohort: baekman.Cohort, _: Path) -> set[str]:
    return set(cohort.participants()["participant_id"].to_pylist())


def genotypes(cohort: baekman.Cohort, _: Path) -> set[str]:
    blocks = list(cohort.genotypes())
    assert all(block.copies.shape == (block.sites.num_rows, len(block.participants)) for block in blocks)
    return {participant for block in blocks for participant in block.participants.to_pylist()}


def open_tables(cohort: baekman.Cohort, _: Path) -> set[str]:
    with pytest.warns(UserWarning, match="^1 participants without consent in force are left out$"):
        rows = baekman.open_tables(cohort.workspace.tables, purpose=cohort.purpose)
    return set(rows.to_table(columns=["participant_id"])["participant_id"].to_pylist())


def carriers(cohort: baekman.Cohort, _: Path) -> set[str]:
    ((contig, pos, ref, alt),) = cohort.sql("SELECT contig, pos, ref, alt FROM sites").fetchall()
    with cohort.query(Question(carriers=f"{contig}:{pos}:{ref}:{alt}")) as relation:
        return {participant for (participant,) in relation.project("participant_id").fetchall()}


def groups(cohort: baekman.Cohort, folder: Path) -> set[str]:
    file = folder / "people.csv"
    file.write_text(
        "\n".join(
            [
                "participant_id,name",
                *(f"{path.stem},{path.stem}" for path in cohort.workspace.tables.glob("variants/*/*")),
            ]
        )
    )
    question = Question(region="c1", by=("people.name",), own=(OwnTable(name="people", file=file),))
    with cohort.query(question) as relation:
        rows = relation.project("people_name, participants").fetchall()
    assert {count for _, count in rows} == {1}
    return {name for name, _ in rows}


WAYS: dict[str, Callable[[baekman.Cohort, Path], set[str]]] = {
    "export": export,
    "tables": write_tables,
    "freeze": freeze,
    "sql calls": sql("calls"),
    "sql reference": sql("reference"),
    "sql participants": sql("participants"),
    "scan": scan,
    "roster": roster,
    "genotypes": genotypes,
    "carriers": carriers,
    "groups": groups,
    "open_tables": open_tables,
}


@pytest.mark.parametrize("deny", DENIALS)
def test_every_way_out_leaves_out_whoever_is_denied(
    deny: Callable[[FinishedWorkspace], str], workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    purpose = deny(workspace)
    denied = workspace.participant_ids[DENIED]
    cohort = baekman.open_cohort(workspace.cohort, purpose=purpose)
    assert cohort.left_out == 1
    expected = {*workspace.participant_ids} - {denied}
    shown = {name: way(cohort, tmp_path) for name, way in WAYS.items()}
    assert shown == dict.fromkeys(WAYS, expected)
    named: list[Callable[[], object]] = [
        lambda: cohort.calls(denied),
        lambda: cohort.write_tables(tmp_path / "named", participants=[denied]),
        lambda: baekman.open_table(workspace.tables, denied, purpose=purpose),
    ]
    for use in named:
        with pytest.raises(InputRefused, match=f"{denied}: expected a participant with consent to this use in force"):
            use()
    question = Question(participant=denied, tables=workspace.tables)
    with pytest.raises(InputRefused, match="consent to this use"), cohort.query(question):
        pass
    assert cohort.verify() == []


def test_the_commands_count_whoever_is_left_out(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    purpose = grant_others_the_purpose(workspace)
    denied, *_ = [workspace.participant_ids[DENIED]]
    asked = ("--cohort", workspace.cohort, "--purpose", purpose)
    note = "note: 1 participant without consent to commercial use in force left out\n"
    still = (
        "note: {} still count them; `baekman withdraw ID` takes a participant out of all numbers, and "
        "`baekman cohort freeze` and `baekman export` count only who is shown\n"
    )
    sites = still.format("sites (ac, an, af and others)")
    tables = still.format("frequencies and joint genotypes in tables")
    commands: dict[tuple[str | Path, ...], tuple[str, str]] = {
        ("query", *asked, "--region", "c1"): (note + sites, ""),
        ("query", *asked, "--sql", "SELECT count(*) AS n FROM participants", "--format", "csv"): (
            note + sites,
            "n\n2\n",
        ),
        ("query", *asked, "--participant", workspace.participant_ids[0]): ("", ""),
        ("export", *asked, "--format", "vcf", "--output", tmp_path / "x.vcf"): (note, ""),
        ("tables", *asked, "--output", tmp_path / "t"): (note + tables, "2\n"),
        ("cohort", "freeze", *asked, "--output", tmp_path / "f"): (note, "1\n"),
    }
    for command, (stderr, stdout) in commands.items():
        done = run(*command)
        assert (done.stderr, stdout in done.stdout.replace('"', "")) == (stderr, True), command
        assert denied not in done.stdout + done.stderr
    for command in (
        ("query", *asked, "--participant", denied),
        ("query", *asked, "--participant", denied, "--tables", workspace.tables),
        ("tables", *asked, "--output", tmp_path / "named", "--participants", denied),
    ):
        done = run(*command, check=False)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == (
            f"refused: participants: {denied}: expected a participant with consent to this use in force, found a "
            "withdrawal, or a consent that was refused, has ended or does not cover the purpose; "
            "leave the participant out\n"
        )
    done = run("query", "--cohort", workspace.cohort, "--region", "c1", "--purpose", "profit", check=False)
    assert (done.returncode, done.stderr) == (
        3,
        "refused: --purpose: expected research, commercial, overseas, or several with commas, found another word; "
        "name a project in BAEKMAN_PURPOSE\n",
    )
    assert [event["purpose"] for event in audit.events(workspace.root) if event["action"] == "export"] == [
        "commercial_use"
    ]


def test_groups_by_registered_type_need_the_registry(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    question = Question(region="c1", by=("type", "sex"))
    with baekman.open_cohort(workspace.cohort).query(question) as relation:
        rows = relation.project("type, sex, ac, an, carriers, participants").fetchall()
    (kind,) = {*types_of(workspace.opened_registry, workspace.participant_ids).values()}
    assert rows == [(kind, "female", 3, 6, 3, 3)]
    bare = create_store(tmp_path / "bare", reference=tmp_path / "reference.fa")
    with pytest.raises(InputRefused) as refused, baekman.open_cohort(bare.path).query(question):
        pass
    assert str(refused.value) == (
        "--by: type: expected a cohort of a workspace, with its registry, found a bare cohort; "
        "give the types in a table of your own: --with people.csv --by people.type"
    )


def test_a_region_of_a_participant_is_that_of_the_table(workspace: FinishedWorkspace) -> None:
    participant = workspace.participant_ids[0]
    cohort = baekman.open_cohort(workspace.cohort)
    question = Question(participant=participant, region="c1:100")
    assert of_finished_table(cohort, question) == replace(question, tables=workspace.tables)
    assert of_finished_table(cohort, Question(participant=participant)).tables is None
    done = run("query", "--cohort", workspace.cohort, "--participant", participant, "--region", "c1:100")
    assert "joint_copies" in done.stdout and done.stderr == ""
    table_path(workspace.tables, participant).unlink()
    assert of_finished_table(cohort, question).tables is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '{roster}'",
        "SELECT * FROM read_parquet('{roster}')",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM shards",
        "SELECT (SELECT count(*) FROM '{roster}')",
        "WITH a AS (SELECT * FROM '{roster}') SELECT * FROM a",
        'SELECT * FROM \'{roster}\' WHERE EXISTS (WITH "{roster}" AS (SELECT 1) SELECT * FROM "{roster}")',
        "FROM (SHOW ALL TABLES)",
        "EXPLAIN SELECT * FROM '{roster}'",
    ],
)
def test_sql_reaches_nobody_who_is_left_out(sql: str, workspace: FinishedWorkspace) -> None:
    roster = next(workspace.cohort.glob("batches/*/roster.parquet"))
    cohort = baekman.open_cohort(workspace.cohort)
    assert cohort.sql(f"SELECT count(*) FROM '{roster}'").fetchall() == [(3,)]
    refuse(workspace)
    with pytest.raises(
        InputRefused, match=r"found (another table, file or table function|a statement of another kind)"
    ):
        cohort.sql(sql.format(roster=roster))
    query = "WITH a AS (SELECT * FROM participants) SELECT count(*) FROM a, unnest([1]) JOIN range(1) ON true"
    assert cohort.sql(query).fetchall() == [(2,)]


@pytest.mark.parametrize("way", ["export", "tables", "freeze"])
def test_consent_that_ends_during_the_work_counts(
    way: str, workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = workspace.participant_ids[DENIED]
    cohort = baekman.open_cohort(workspace.cohort)
    module, name = {
        "export": (write, "read_evidence"),
        "tables": (make, "make_tables"),
        "freeze": (tables_of_freeze, "make_tables"),
    }[way]
    original = getattr(module, name)

    def then_refused(*arguments: object, **options: object) -> object:
        done = original(*arguments, **options)
        if not cohort.left_out:
            refuse(workspace)
        return done

    monkeypatch.setattr(module, name, then_refused)
    if way == "tables":
        assert cohort.write_tables(tmp_path / "t") == 2
        assert denied not in _shown_in_tables(tmp_path / "t")
        return
    if way == "freeze":  # it is made again
        cohort.freeze(tmp_path / "f")
        assert denied not in _shown_in_tables(tmp_path / "f" / "tables")
        assert sorted(path.name for path in (tmp_path / "f").iterdir() if path.is_dir()) == ["sites", "tables"]
        return
    with pytest.raises(InputRefused, match="found 1 participants without it now; "):
        cohort.export(tmp_path / "x.bcf", format="bcf")
    assert [*tmp_path.glob("x.bcf*")] == []


@pytest.mark.parametrize("deny", [refuse, grant_others_the_purpose])
def test_a_freeze_is_that_of_a_cohort_that_never_had_the_participant(
    deny: Callable[[FinishedWorkspace], str], workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    purpose = deny(workspace)
    baekman.open_cohort(workspace.cohort, purpose=purpose).freeze(tmp_path / "left_out")
    alone = create_store(tmp_path / "bare", reference=tmp_path / "reference.fa")
    members = [
        Member(participant_id=participant, gvcf=str(workspace.participant(participant).gvcf), sex="female")
        for number, participant in enumerate(workspace.participant_ids)
        if number != DENIED
    ]
    add_batch(alone, batch="b", members=members)
    baekman.open_cohort(alone.path).freeze(tmp_path / "never")

    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*/*.parquet")}

    assert files(tmp_path / "left_out") == files(tmp_path / "never") != {}
    # the bare cohort has no registry with types, and another name for its batch
    columns = ["participant_id", "sex"]
    people = [
        pq.read_table(tmp_path / name / "participants.parquet", columns=columns) for name in ("left_out", "never")
    ]
    assert people[0].equals(people[1]) and people[0].num_rows == 2
    assert list(verify_freeze(tmp_path / "left_out", open_store(workspace.cohort))) == []
    assert not list((workspace.cohort / "work").glob("rewrite.*"))


def test_a_list_of_denied_participants_that_is_gone_releases_nobody(workspace: FinishedWorkspace) -> None:
    refuse(workspace)
    workspace.denied.unlink()
    cohort = baekman.open_cohort(workspace.cohort)
    with pytest.raises(InputRefused, match=r"denied\.txt: expected the list of participants without consent"):
        cohort.calls(workspace.participant_ids[0])
    open_in_force(workspace)
    assert cohort.left_out == 1


def test_sql_and_tables_keep_within_their_limits(workspace: FinishedWorkspace) -> None:
    cohort = baekman.open_cohort(workspace.cohort)
    endless = "SELECT count(*) FROM range(100000000000) AS r WHERE r.range % 7 = 3"
    relation = cohort.sql(endless, limits=Limits(time=0.3))
    with pytest.raises(duckdb.InterruptException):
        relation.fetchall()
    assert cohort.sql("SELECT count(*) FROM calls", limits=Limits(time=0.3)).fetchall() == [(3,)]
    large = cohort.sql("SELECT list(r.range) FROM range(50000000) AS r", limits=Limits(memory="20MB", spill="1KB"))
    with pytest.raises(duckdb.OutOfMemoryException):
        large.fetchall()
    participant = workspace.participant_ids[0]
    question = Question(participant=participant, tables=workspace.tables, limits=Limits(time=0.2))
    with (
        pytest.raises(InputRefused, match=r"--time-limit: expected an answer within 0\.2 seconds"),
        cohort.query(question) as relation,
    ):
        while True:
            relation.fetchall()
