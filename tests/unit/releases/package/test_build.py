"""A package is approved, whole, the same for any number of workers, and goes when it is revoked."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dask
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from baekman import audit, pseudonyms, withdrawal
from baekman.cli.privacy import app as privacy_app
from baekman.cli.project import app as project_app
from baekman.cli.registry import app as registry_app
from baekman.cli.release import app
from baekman.cli.restore import app as restore_app
from baekman.cli.workflow import app as workflow_app
from baekman.consent import ConsentEvent, Decision, Scope, today
from baekman.engine.local import Engine
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import sha256_of
from baekman.files.sidecar import write_checked
from baekman.projects.project import add_project
from baekman.projects.release_key import public_file, release_key
from baekman.qc.metrics import Metrics, write_metrics
from baekman.registry import denied_list
from baekman.registry.books import book as book_module
from baekman.registry.books.book import open_book
from baekman.registry.books.rows import ROWS
from baekman.releases import planning
from baekman.releases.checks.proposal import Proposal
from baekman.releases.dag import run as dag
from baekman.releases.dag.tasks import NAMES, SECRET, run_task
from baekman.releases.home import ReleaseHome, releases
from baekman.releases.package import build as build_module
from baekman.releases.package import contents
from baekman.releases.package.build import build_release
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.manifest import open_manifest
from baekman.releases.package.revocation import revoke_ended, revoke_release, statuses
from baekman.releases.package.standing import open_release
from baekman.releases.package.verify import verify_package
from baekman.releases.plan import Check
from baekman.status.verification import parts
from baekman.tools.environment import KEY_VARIABLES
from baekman.workspace.paths import Workspace
from support import PROJECT
from support.projects import DESCRIPTION, describe
from support.record_batches import day
from support.registrations import table
from support.servers.dask_workers import CERTIFICATE, tls_cluster
from support.small_release import PEOPLE, SmallRelease, small_release
from typer import Typer
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return small_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def approved(small: SmallRelease) -> ReleaseHome:
    return small.approve(small.propose())


@pytest.fixture(scope="module")
def copy(small: SmallRelease, approved: ReleaseHome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package of the approved release."""
    place = tmp_path_factory.mktemp("copy") / "package"
    build(small, approved).rename(place)
    return place


@pytest.fixture
def home(approved: ReleaseHome) -> Iterator[ReleaseHome]:
    """Yield an approved release without a package."""
    yield approved
    shutil.rmtree(approved.package, ignore_errors=True)


def build(small: SmallRelease, home: ReleaseHome, *, workers: int = 1) -> Path:
    return build_release(small.workspace, home.id, registry=small.registry, engine=Engine(workers=workers))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(small: SmallRelease, home: ReleaseHome) -> str:
    with pytest.raises(InputRefused) as refused:
        build(small, home)
    assert not home.package.exists() and not list(home.path.glob(".package.*"))
    return str(refused.value)


def test_the_tables_hold_the_rows_of_the_members_under_project_ids(small: SmallRelease, copy: Path) -> None:
    package = copy
    assert {path.split("/")[0] for path in files(package)} == {
        *("README.md", "dictionary.tsv", "manifest.dsse.json", "participants.parquet", "ro-crate-metadata.json"),
        *("records", "coverage", "sites", "variants"),
    }
    book = open_book(small.registry, small.board.project.id).rows(small.participants)
    number_of = {
        row["project_id"]: (small.participants.index(row["participant_id"]), row["date_shift_days"])
        for row in book.to_pylist()
    }
    people = pq.read_table(package / "participants.parquet").to_pylist()
    assert [row["sample"] for row in people] == list(range(PEOPLE))
    assert [row["project_id"] for row in people] == sorted(number_of)
    for row in people:
        number, _ = number_of[row["project_id"]]
        assert row["sex"] == ("female" if number % 2 else "male") and row["has_genotypes"]
        assert row["birth"] == f"{(1950 + number) // 5 * 5}-{(1950 + number) // 5 * 5 + 4}"
    events = pq.read_table(package / "records").to_pylist()
    assert {row["code"] for row in events} == {"KCD8/E119", "LOINC/8480-6"} and len(events) == 2 * PEOPLE
    covered = pq.read_table(package / "coverage").to_pylist()  # not by the survey, which has no requested scope
    assert {row["source"] for row in covered} == {"claims"} and len(covered) == PEOPLE
    for row in events:
        number, shift = number_of[row["project_id"]]
        expected = day(10 * number + (7 if row["value"] else 0)) + timedelta(days=shift)
        assert row["time"].date() == expected
    sites = pq.read_table(package / "sites").to_pylist()
    carriers: dict[int, set[int]] = {}
    for row in pq.read_table(package / "variants").to_pylist():
        if row["copies"]:
            number, _ = number_of[people[row["sample"]]["project_id"]]
            carriers.setdefault(sites[row["site"]]["pos"], set()).add(number)
    expected_carriers: dict[int, set[int]] = {}
    for number in range(PEOPLE):
        expected_carriers.setdefault(5 + 4 * (number % 20), set()).add(number)
        expected_carriers.setdefault(101 + 4 * (number % 3), set()).add(number)
    assert carriers == expected_carriers


def test_the_same_request_gives_the_same_bytes_for_any_number_of_workers(
    small: SmallRelease, home: ReleaseHome, copy: Path
) -> None:
    assert files(build(small, home, workers=2)) == files(copy)
    before = home.package.stat().st_ino
    assert build(small, home).stat().st_ino == before  # what is there stays


def test_dask_workers_in_processes_of_their_own_give_the_same_bytes(
    small: SmallRelease, home: ReleaseHome, copy: Path
) -> None:
    with tls_cluster(workers=2, processes=True) as address, dask.config.set(CERTIFICATE):
        engine = Engine(scheduler=address)
        package = build_release(small.workspace, home.id, registry=small.registry, engine=engine)
    assert files(package) == files(copy)


def test_a_kill_at_any_instant_leaves_no_package_and_the_same_command_finishes(
    small: SmallRelease, home: ReleaseHome, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, write = PackageFolder.note, PackageFolder.write
    calls = iter(range(100))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def killed_third(self: PackageFolder, *arguments: object) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        note(self, *arguments)  # type: ignore[arg-type]

    def killed_in_write(self: PackageFolder, name: str, *arguments: Any, **options: Any) -> int:
        if not name.startswith("records/"):
            return write(self, name, *arguments, **options)
        (self.content / ".half.tmp").write_text("x")  # what SIGKILL leaves
        raise KeyboardInterrupt

    points: list[tuple[object, str, object]] = [
        (PackageFolder, "note", killed_third),
        (PackageFolder, "write", killed_in_write),
        (build_module, "held_denials", killed),
    ]
    for owner, name, function in points:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, function)
            build(small, home)
        assert not home.package.exists()
    assert files(build(small, home)) == files(copy) and not list(home.path.glob(".package.*"))


def test_jobs_of_snakemake_give_the_same_bytes_and_leave_no_secret(
    small: SmallRelease, home: ReleaseHome, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = []

    def run(command: list[str], folder: Path) -> int:
        assert command[command.index("--directory") + 1] == str(folder)
        assert (folder / SECRET).stat().st_mode & 0o777 == 0o600
        names = json.loads((folder / NAMES).read_text())
        rules = (PROJECT / "rules" / "release.smk").read_text()
        for kind, tasks in names.items():
            kinds.append(kind)
            for name in tasks:
                assert f"baekman step release {kind} {kind}-" in rules
                run_task(folder, kind, name)
        return 0

    monkeypatch.setattr(dag.slurm, "require", [].append)
    monkeypatch.setattr(dag, "_run", run)
    package = build_release(small.workspace, home.id, registry=small.registry, profile="slurm")
    assert files(package) == files(copy) and kinds == ["spill", "bucket", "shard"]
    # the secret goes where jobs fail too, and no task runs without it
    shutil.rmtree(package)

    monkeypatch.setattr(dag, "_run", lambda command, folder: 1)
    with pytest.raises(dag.JobsFailed, match="run the same command again"):
        build_release(small.workspace, home.id, registry=small.registry, profile="slurm")
    (folder,) = home.path.glob(".package.*")
    assert not (folder / SECRET).exists()
    with pytest.raises(InputRefused, match="expected a task of a build that is under way, found none"):
        run_task(folder, "spill", "spill-00")


def test_jobs_of_a_release_get_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.setenv(name, "x")
    keys = "".join(f"${name}" for name in KEY_VARIABLES)
    assert dag._run(["sh", "-c", f'test -z "{keys}" && test "$PWD" = "{tmp_path}"'], tmp_path) == 0
    assert dag._run(["sh", "-c", "exit 3"], tmp_path) == 3


def test_a_profile_for_slurm_is_refused_where_no_job_can_be_submitted(
    small: SmallRelease, home: ReleaseHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputRefused, match="--profile: expected Slurm's commands on PATH, found no sbatch"):
        build_release(small.workspace, home.id, registry=small.registry, profile="slurm")


def test_the_checks_are_shown_below_a_header(small: SmallRelease, home: ReleaseHome) -> None:
    place = ["--workspace", str(small.workspace)]
    shown = CliRunner().invoke(app, ["review", home.id, *place]).stdout.splitlines()
    header = "number\tcheck\tobserved\tlimit\tverdict"
    assert shown[:3] == [f"plan {home.read_plan().hash}", header, "1\tconsent\t0\t0\tpass"]
    assert shown[-2:] == ["11\tleak_scan\t\t0\ttold", str(home.review)]
    assert "2\tdecisions\tirb, drb\tirb, drb\tpass" in shown
    assert {line.partition("\t")[0] for line in shown[2:-1]} == {str(number) for number in range(1, 12)}
    proposed = CliRunner().invoke(app, ["propose", str(small.request()), *place]).stdout.splitlines()
    assert proposed[:3] == [home.id, shown[0], header]
    assert proposed[3:] == [line for line in shown[2:-2] if not line.endswith("\tpass")] != []
    build(small, home)
    assert "11\tleak_scan\t0\t0\tpass" in CliRunner().invoke(app, ["review", home.id, *place]).stdout.splitlines()


def test_no_decision_no_package(small: SmallRelease) -> None:
    home = small.propose(codes=["KCD8/E119"])
    assert "expected an approval of this plan by irb, of a person outside the project" in refusal(small, home)


def propose_again(home: ReleaseHome) -> str:
    """Return the end of a refusal: the command for the next plan."""
    return (
        f"run `baekman release propose` with the request again, or with {home.request} without its `snapshots`; the "
        "new plan needs decisions of its own"
    )


def test_a_changed_plan_voids_the_decisions(
    small: SmallRelease, home: ReleaseHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = build_module.make_plan

    def changed(*arguments: object, **options: object) -> object:
        return replace(make(*arguments, **options), members_hash="0" * 64)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "make_plan", changed)
    assert refusal(small, home) == (
        f"{home.id}: expected the plan that was decided on, found another one now: members_hash; " + propose_again(home)
    )


def test_a_plan_of_another_version_is_named_with_the_next_command(small: SmallRelease, home: ReleaseHome) -> None:
    runner, place, text = CliRunner(), ["--workspace", str(small.workspace)], home.plan.read_text("utf-8")
    plan = json.loads(text)
    older = {
        **{key: value for key, value in plan.items() if key != "small_cells"},
        "checks": [*(check for check in plan["checks"] if check["code"] != "offsets"), {"code": "spread", "limit": 3}],
        "version": 0,
    }
    write_checked(home.plan, json.dumps(older))
    parts = "without the check offsets, with the check spread, with other keys"
    assert refusal(small, home) == (
        f"{home.id}: expected a plan of this version of baekman, found one of another version: {parts}; "
        + propose_again(home)
    )
    review = runner.invoke(app, ["review", home.id, *place])
    assert f"plan {sha256_of(home.plan)}\n" in review.stdout and "\n\tspread\t\t3\tpass\n" in review.stdout
    assert review.stderr == (
        f"note: another version of baekman made this plan ({parts}), and it cannot be built: run `baekman release "
        "propose` with the request again\n"
    )
    assert (
        f"{home.id}\t{small.board.project.id}\troom\t{PEOPLE}\tproposed\n"
        in runner.invoke(app, ["status", *place]).stdout
    )
    again = small.propose()
    assert again.id != home.id and again.read_plan().text == text
    shutil.rmtree(again.path)
    write_checked(home.plan, text)


def test_a_verification_of_the_workspace_names_a_damaged_file_of_a_release(
    small: SmallRelease, home: ReleaseHome, copy: Path
) -> None:
    shutil.copytree(copy, home.package)
    (part,) = (part for part in parts(Workspace(small.workspace)) if part.name == "releases")
    assert list(part.verify()) == []
    begin, restore = f"releases/{home.id}", "damaged or absent; restore it from a back-up"
    for name, finding in (
        ("plan.json", f"{begin}/plan.json: {restore}"),
        ("request.yaml", f"{begin}/request.yaml: {restore}"),
        (
            "members.sealed",
            f"{begin}: release members: {home.id} 00: expected a value sealed for this record with the release "
            "members's key, found something else; restore the folder of the release from a copy, or propose the "
            "request again",
        ),
        (
            "package/README.md",
            f"{begin}/package/README.md: expected the SHA-256 that the manifest names, found other bytes; delete this "
            f"folder, then run `baekman release build {home.id}` again",
        ),
    ):
        file = home.path / name
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"participant_id", b"participant_if", 1) if name == "request.yaml" else b"")
        if name == "members.sealed":
            file.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
        assert list(part.verify()) == [finding]
        file.unlink()
        assert len(list(part.verify())) == 1
        file.write_bytes(whole)
    assert list(part.verify()) == []


@pytest.fixture
def neighbour(small: SmallRelease) -> SmallRelease:
    """Return the same workspace with another project and its board."""
    text = DESCRIPTION.replace("title: ", "title: 다른 ")
    project, _ = add_project(small.workspace, describe(small.folder, text, name="neighbour.yaml"))
    return replace(small, board=replace(small.board, project=project))


def test_a_package_of_another_project_that_was_built_since_is_a_warning_and_voids_no_decision(
    small: SmallRelease, neighbour: SmallRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[list[str]] = []

    def half(proposal: Proposal) -> Iterator[Check]:
        compared.append(sorted(proposal.others))
        yield Check(code="linkage", observed=0.5, limit=0, verdict="told")

    monkeypatch.setattr(planning, "linkage", half)  # everybody here has the same events: nobody can be joined
    home, other = (each.approve(each.propose(regions=None, codes=["KCD8/E119"])) for each in (small, neighbour))
    warnings: list[str] = []

    def built(home: ReleaseHome) -> Path:
        return build_release(small.workspace, home.id, registry=small.registry, warn=warnings.append)

    built(other)
    assert warnings == compared == [] and built(home).is_dir()
    assert compared == [[other.id]]
    assert warnings == [
        f"{home.id}: linkage: 50.00% of the members can be joined with a release to another project that was built "
        "after this plan was proposed; the reviewers should know"
    ]
    # a plan that is proposed now names what it was compared with, and stays when that is revoked
    shutil.rmtree(home.package)
    later = small.approve(small.propose(regions=None, codes=["KCD8/E119"], why="again"))
    assert later.read_plan().compared == (other.id,) and home.read_plan().compared == ()
    shutil.rmtree(other.package)
    assert built(later).is_dir() and len(warnings) == 1
    shutil.rmtree(later.package)


def test_a_public_release_that_differs_by_few_from_one_that_was_built_since_is_refused(
    small: SmallRelease, neighbour: SmallRelease
) -> None:
    """Both were proposed and approved when neither was there: the first that is built stops the other."""
    keys = {"tier": "low_risk", "regions": None, "codes": ["KCD8/E119"]}
    fewer = "SELECT participant_id FROM events WHERE code = 'LOINC/8480-6' AND value > 101.6"
    home, other = small.approve(small.propose(**keys)), neighbour.approve(neighbour.propose(**keys, who=fewer))
    assert (home.read_plan().members, other.read_plan().members) == (PEOPLE, PEOPLE - 2)
    build(neighbour, other)
    assert refusal(small, home) == (
        f"{home.id}: difference: expected no difference of 1 to 10 members to a release that others may have: it would "
        "be the data of these people, found 2, to one that was built after this plan was proposed; "
        "change who is asked for and propose the request; the new plan needs decisions of its own"
    )
    shutil.rmtree(other.package)
    scan = contents.scan_package

    def build_other(folder: Path, **options: Any) -> int:  # while the package is written
        patch.undo()
        build(neighbour, other)
        return scan(folder, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "scan_package", build_other)
        assert ": difference: " in refusal(small, home)
    shutil.rmtree(other.package)


def test_an_opening_asks_consent_and_decisions_and_is_recorded(
    small: SmallRelease, home: ReleaseHome, copy: Path
) -> None:
    with pytest.raises(InputRefused, match=f"{home.id}: expected a package, found none"):
        open_release(small.workspace, home.id, registry=small.registry)
    shutil.copytree(copy, home.package)
    assert open_release(small.workspace, home.id, registry=small.registry).package == home.package
    assert [event["action"] for event in audit.events(small.workspace)][-1] == "release.open"
    end = small.board.project.irb.expires + timedelta(days=1)
    with pytest.raises(InputRefused, match="an approval of the IRB in force"):
        open_release(small.workspace, home.id, registry=small.registry, at=end)
    # a denial is in force before the registry has it
    pending = Workspace(small.workspace).pending_denials
    pending.write_text(f"{small.participants[0]}\t{today()}\t\t{Scope.GENOME}\n")
    with pytest.raises(InputRefused, match="found 1 members with another one now"):
        open_release(small.workspace, home.id, registry=small.registry)
    pending.unlink()


def tables(package: Path) -> dict[str, pa.Table]:
    return {
        name: pq.read_table(package / name).replace_schema_metadata(None)
        for name in files(package)
        if name.endswith(".parquet")
    }


@pytest.fixture
def fixed_ids(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which the IDs of ours are the same as after its last call, and so are books."""
    counts: Counter[str] = Counter()

    def new(kind: str) -> str:
        counts[kind] += 1
        number = hashlib.sha256(f"{kind}{counts[kind]}".encode()).digest()[:12]
        body = kind + "".join(pseudonyms.ALPHABET[byte % 32] for byte in number)
        return body + pseudonyms.check_character(body)

    def draw(participants: pa.Array) -> pa.Table:
        rows = []
        for participant in participants.to_pylist():
            digest = hashlib.sha256(participant.encode()).digest()
            body = "X" + "".join(pseudonyms.ALPHABET[byte % 32] for byte in digest[:12])
            project_id = body + pseudonyms.check_character(body)
            rows.append((participant, project_id, digest[12] + 1, digest[:16]))
        return pa.Table.from_pylist([dict(zip(ROWS.names, row, strict=True)) for row in rows], schema=ROWS)

    monkeypatch.setattr(pseudonyms, "new", new)
    monkeypatch.setattr(book_module, "draw", draw)
    return counts.clear


def test_a_withdrawal_revokes_packages_and_the_next_release_is_that_of_a_cohort_without_the_participant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fixed_ids: Callable[[], None]
) -> None:
    small = small_release(tmp_path / "a")
    home, public = small.approve(small.propose()), release_key(small.workspace).public
    other = small.approve(small.propose(genotypes="dense"))
    outside = tmp_path / "outside"
    shutil.copytree(build(small, home), outside)
    verify_package(outside, key=public)
    withdrawn = small.participants[-1]
    receipts, scan = [], contents.scan_package

    def withdraw_and_scan(folder: Path, **options: Any) -> int:
        receipts.append(withdrawal.withdraw(Workspace(small.workspace), withdrawn, registry=small.registry))
        return scan(folder, **options)

    # the withdrawal comes while another release of the participant is built
    with monkeypatch.context() as patch:
        patch.setattr(contents, "scan_package", withdraw_and_scan)
        assert refusal(small, other) == (
            f"{other.id}: expected the consent of each member as it was when the release was proposed, "
            "found 1 members with another one now; "
            "propose the request again; `baekman release status` lists what must be deleted"
        )
    # or between the review and the build
    assert "found 1 members with another one now" in refusal(small, other)
    (manifest,) = home.revoked.iterdir()
    assert f"releases/{home.id}/package: revoked by {manifest.name}" in receipts[0]["removed"]
    assert not home.package.exists() and not open_book(small.registry, small.board.project.id).has_row(withdrawn)
    with pytest.raises(InputRefused, match=r"found number 1, and number 2 of .* revokes it; delete the package"):
        verify_package(outside, key=public, revoked=[home.revoked])
    expected = f"expected a release that is not revoked, found manifest {manifest.name}"
    with pytest.raises(InputRefused, match=expected):
        build(small, home)
    with pytest.raises(InputRefused, match=expected):
        open_release(small.workspace, home.id, registry=small.registry)
    # a second call changes nothing
    assert not withdrawal.withdraw(Workspace(small.workspace), withdrawn, registry=small.registry)["changed"]
    # law 2
    later = small.approve(small.propose())
    package = build(small, later)
    fixed_ids()
    never = small_release(tmp_path / "b", people=PEOPLE - 1)
    assert never.participants == small.participants[:-1]
    without = build(never, never.approve(never.propose()))
    assert tables(package) == tables(without) and len(tables(package)) == 5
    assert (package / "dictionary.tsv").read_bytes() == (without / "dictionary.tsv").read_bytes()
    require_status(small, home, later, withdrawn=withdrawn)
    require_scope(never, before=tables(without))


def test_closing_a_project_revokes_its_packages(tmp_path: Path) -> None:
    small = small_release(tmp_path)
    home = small.approve(small.propose(codes=["KCD8/E119"], regions=None))
    build(small, home)
    words = ["close", small.board.project.id, "--reason", "the study has ended", "--workspace", str(small.workspace)]
    done = CliRunner().invoke(project_app, words)
    assert done.stderr.splitlines() == [
        f"release {home.id} is revoked; `baekman release status` lists who must delete it",
        "closed: its book is destroyed",
    ]
    (status,) = statuses(small.workspace, registry=small.registry)
    assert not home.package.exists()
    assert [each["reason"] for each in status["revoked"]] == ["the project is closed"]
    assert CliRunner().invoke(project_app, words).stderr == "closed before: nothing to do\n"


def require_scope(small: SmallRelease, *, before: dict[str, pa.Table]) -> None:
    """Law 3: require that a withdrawal of the records leaves the genotypes, and changes no byte of the others.

    The participant has one of the twelve lowest values, and eleven others stay at or below the lowest that is shown.
    """
    assert revoke_ended(small.workspace, registry=small.registry) == []
    participant = small.participants[0]
    event = ConsentEvent(
        participant_id=participant, decision=Decision.WITHDRAWN, scopes=(Scope.CLINICAL,), valid_from=today()
    )
    small.registry.add_consent(event)
    denied_list.update_denied_list(Workspace(small.workspace), registry=small.registry)
    (status,) = statuses(small.workspace, registry=small.registry)
    assert (status["state"], status["changed"], len(status["delete"])) == ("built", 1, 2)
    revoke_by_consent(small, participant)
    after = tables(build(small, small.approve(small.propose())))
    project_id = open_book(small.registry, small.board.project.id).rows([participant])["project_id"][0].as_py()
    records, left = before["records/00.parquet"], after["records/00.parquet"]
    assert set(left["value"].to_pylist()) == {None, 110.0, 120.0}
    assert left == records.filter(pc.not_equal(records["project_id"], project_id))
    assert left.num_rows == records.num_rows - 2
    for name in ("participants.parquet", "sites/00000.parquet", "variants/00000.parquet"):
        assert after[name] == before[name]
    revoke_by_scope(small)


def revoke_by_consent(small: SmallRelease, participant: str) -> None:
    """Require that the end of one scope revokes each package with it, by a command or by the day's sweep."""
    runner, place = CliRunner(), ["--workspace", str(small.workspace)]
    (home,) = (each for each in releases(small.workspace) if each.package.is_dir())
    scope = ["--decision", "withdrawn", "--scope"]
    other = runner.invoke(registry_app, ["consent", small.participants[2], *scope, "lifestyle", *place])
    assert other.exit_code == 0 and home.package.is_dir() and "revoked" not in other.stderr  # it is not in the release
    done = runner.invoke(registry_app, ["consent", participant, *scope, "clinical", *place])
    assert f"release {home.id} is revoked; `baekman release status` lists who must delete it\n" in done.stderr
    listed = json.loads(runner.invoke(app, ["status", home.id, "--json", *place]).stdout)[0]
    (revoked,) = listed["revoked"]
    assert (listed["state"], revoked["reason"], len(listed["delete"])) == ("revoked", "withdrawal of a scope", 2)
    # the participant stays in the project with the other scopes
    assert open_book(small.registry, small.board.project.id).has_row(participant)
    # a consent that ends by its date ends without a command
    another = small.approve(small.propose(codes=["KCD8/E119"]))
    build(small, another)
    assert runner.invoke(app, ["revoke", "--changed", *place]).stdout == ""
    small.registry.add_consent(
        ConsentEvent(
            participant_id=small.participants[1],
            decision=Decision.REFUSED,
            scopes=(Scope.CLINICAL,),
            valid_from=today(),
            valid_to=today(),
        )
    )
    shown = runner.invoke(app, ["status", *place]).stdout
    assert (
        "  1 members whose consent, or a scope of it, has ended: it may not be read; "
        "run `baekman release revoke --changed`\n"
    ) in shown
    swept = runner.invoke(app, ["revoke", "--changed", *place])
    assert f"{another.id}\t{small.board.project.id}\troom\t{PEOPLE - 1}\trevoked\n" in swept.stdout
    assert not another.package.exists()
    small.registry.add_consent(
        ConsentEvent(
            participant_id=small.participants[1],
            decision=Decision.GRANTED,
            scopes=(Scope.CLINICAL,),
            valid_from=today(),
        )
    )
    denied_list.update_denied_list(Workspace(small.workspace), registry=small.registry)

    revoke_by_import(small)


def revoke_by_scope(small: SmallRelease) -> None:
    """Require that the withdrawal of a scope revokes packages, and names who must delete copies.

    A release that cannot be read stops no other.
    """
    (home,) = (each for each in releases(small.workspace) if each.package.is_dir())
    damaged = home.path.with_name(pseudonyms.new("R"))
    (damaged / "package").mkdir(parents=True)
    (damaged / "plan.json").write_text("{")
    participant, place = small.participants[3], ["--workspace", str(small.workspace)]
    words = ["withdraw", participant, "--scope", "clinical", *place]
    with pytest.raises(DamagedFile):
        CliRunner().invoke(privacy_app, words, catch_exceptions=False)
    assert not home.package.exists() and len(list(home.revoked.iterdir())) == 1
    shutil.rmtree(damaged)
    done = CliRunner().invoke(privacy_app, words)
    listed = json.loads(done.stdout)["releases"]
    (mine,) = (each for each in listed if each["release"] == home.id)
    assert (mine["tier"], mine["revoked"], len(mine["delete"])) == ("room", today().isoformat(), 2)
    lines = done.stderr.splitlines()
    manifest = f"releases/{home.id}/revoked/{mine['manifest']}"
    first = lines.index(f"revoked: {home.id} of project {small.board.project.id} (room) by {manifest}")
    person = mine["delete"][0]
    assert lines[first + 1] == f"  every copy must be deleted at once by {person['name']} ({person['institution']})"
    assert lines[-1].endswith(f"`baekman release status --participant {participant}`")
    require_scopes_of_rows(
        small, no_records=participant, no_genotypes=small.participants[5], below=small.participants[6]
    )


def require_scopes_of_rows(small: SmallRelease, *, no_records: str, no_genotypes: str, below: str) -> None:
    """Require that a package has nothing of the scope that one of its members has not granted, and all of the other.

    It has no genotypes of who is ``below`` the thresholds of QC either, where the request leaves them out.
    """
    metrics = Metrics(
        participant_id=below,
        specimen_id=pseudonyms.new("S"),
        registered_sex="female",
        observed_sex="female",
        values={"mean_autosome_coverage": 2.0},
    )
    path = Workspace(small.workspace).participant(below).metrics
    path.parent.mkdir(parents=True)
    write_metrics(path, metrics)
    small.registry.add_consent(
        ConsentEvent(
            participant_id=no_genotypes, decision=Decision.WITHDRAWN, scopes=(Scope.GENOME,), valid_from=today()
        )
    )
    denied_list.update_denied_list(Workspace(small.workspace), registry=small.registry)
    home = small.approve(small.propose(below_qc="leave_out"))
    package = build(small, home)
    # nobody is chosen by their data either: the SQL of a request sees none of it
    stores = planning.open_stores(small.workspace, home.read_request(), small.board.project)
    assert no_genotypes in stores.without and no_records not in stores.without
    assert no_records in stores.admission.denied["clinical"]
    book = open_book(small.registry, small.board.project.id).rows([no_records, no_genotypes, below]).to_pylist()
    id_of = {row["participant_id"]: row["project_id"] for row in book}
    people = {row["project_id"]: row for row in pq.read_table(package / "participants.parquet").to_pylist()}
    carriers = set(pq.read_table(package / "variants")["sample"].to_pylist())
    seen = [set(pq.read_table(package / name)["project_id"].to_pylist()) for name in ("records", "coverage")]
    for participant, has_records in ((no_records, False), (no_genotypes, True), (below, True)):
        person = people[id_of[participant]]
        assert [person["project_id"] in ids for ids in seen] == [has_records] * 2
        assert person["has_genotypes"] == (person["sample"] in carriers) == (not has_records)


def revoke_by_import(small: SmallRelease) -> None:
    """Require that a table that takes back one scope of a member revokes each package with it."""
    home = small.approve(small.propose(codes=["KCD8/E119"], regions=None))
    build(small, home)
    revoke_by_day(small, home)
    row = f"병원1\tBAR-0003\tSUBJ-3\tgeneral\tfemale\twithdrawn\t{today()}\t\tclinical\t1953\t\t\t"
    place = ["--workspace", str(small.workspace)]
    done = CliRunner().invoke(registry_app, ["import", str(table(small.folder, row, name="later.tsv")), *place])
    assert done.exit_code == 0
    assert done.stderr == f"release {home.id} is revoked; `baekman release status` lists who must delete it\n"
    assert not home.package.exists() and len(list(home.revoked.iterdir())) == 1
    small.registry.add_consent(
        ConsentEvent(
            participant_id=small.participants[3],
            decision=Decision.GRANTED,
            scopes=(Scope.CLINICAL,),
            valid_from=today(),
        )
    )
    denied_list.update_denied_list(Workspace(small.workspace), registry=small.registry)


def revoke_by_day(small: SmallRelease, home: ReleaseHome) -> None:
    """Require that commands that open the registry revoke, once a day, a package with a consent that has ended.

    A release that cannot be read stops no command, and its members are asked again by the next one.
    """
    place, inbox = ["--workspace", str(small.workspace)], small.folder / "inbox"
    inbox.mkdir()
    package = shutil.copytree(home.package, small.folder / "by-day")
    clinical: dict[str, Any] = {"participant_id": small.participants[1], "scopes": (Scope.CLINICAL,)}
    small.registry.add_consent(
        ConsentEvent(**clinical, decision=Decision.REFUSED, valid_from=today(), valid_to=today())
    )
    line = f"release {home.id} is revoked; `baekman release status` lists who must delete it\n"
    other = ["consent", small.participants[2], "--decision", "withdrawn", "--scope", "lifestyle", *place]
    commands: list[tuple[Typer, list[str]]] = [
        (registry_app, other),
        (workflow_app, ["watch", str(inbox), "--once", *place]),
        (restore_app, ["check", *place]),
    ]
    asked = small.workspace / "releases" / ".consent-asked"
    assert asked.read_text() == today().isoformat()
    for command, words in commands[:2]:
        assert line not in CliRunner().invoke(command, words).output and home.package.is_dir()
    for command, words in commands:
        asked.write_text((today() - timedelta(days=1)).isoformat())
        assert line in CliRunner().invoke(command, words).output and not home.package.exists()
        (status,) = statuses(small.workspace, release=home.id)
        assert [each["reason"] for each in status["revoked"]] == [
            "the consent of a member, or a scope of it, has ended"
        ]
        shutil.rmtree(home.revoked)
        shutil.copytree(package, home.package)
    damaged = home.path.with_name(pseudonyms.new("R"))
    (damaged / "package").mkdir(parents=True)
    (damaged / "plan.json").write_text("{}")
    unknown = f"release {damaged.name}: whether the consent of a member has ended is not known: "
    listed = CliRunner().invoke(app, ["status", *place])
    assert f"{home.id}\t{small.board.project.id}\troom\t" in listed.stdout
    assert isinstance(listed.exception, DamagedFile) and damaged.name in str(listed.exception.filename)
    for is_there in (True, False):  # a restored package is found on the same day too
        done = CliRunner().invoke(*commands[2])
        assert (unknown in done.stdout, line in done.stdout, done.exit_code) == (True, is_there, 0)
    assert not asked.exists()
    shutil.rmtree(damaged)
    shutil.rmtree(home.revoked)
    shutil.copytree(package, home.package)
    small.registry.add_consent(ConsentEvent(**clinical, decision=Decision.GRANTED, valid_from=today()))
    denied_list.update_denied_list(Workspace(small.workspace), registry=small.registry)


def require_chain(small: SmallRelease, home: ReleaseHome, manifests: list[dict[str, Any]]) -> None:
    """Require that the manifest of a revoked package is kept, names nobody, and that the later one is bound to it."""
    kept, later = home.manifests / "0001.dsse.json", next(home.revoked.iterdir())
    first = {"manifest": "manifests/0001.dsse.json", "number": 1, "sha256": sha256_of(kept), "revokes": ""}
    second = {"manifest": f"revoked/{later.name}", "number": 2, "sha256": sha256_of(later), "revokes": sha256_of(kept)}
    assert manifests == [first, second]
    content, _ = open_manifest(kept, key=release_key(small.workspace).public)
    assert "records/00.parquet" in content.files and content.facts["members"] == PEOPLE
    assert not any(name in json.dumps(content.statement()) for name in small.participants)
    whole = kept.read_bytes()
    other = next(each for each in releases(small.workspace) if each.package.is_dir())
    for changed in (whole.replace(b"payload", b"Payload"), (other.package / "manifest.dsse.json").read_bytes()):
        kept.write_bytes(changed)
        with pytest.raises((InputRefused, DamagedFile)):
            statuses(small.workspace, release=home.id)
    kept.write_bytes(whole)


def require_status(small: SmallRelease, home: ReleaseHome, later: ReleaseHome, *, withdrawn: str) -> None:
    """Require that the commands show and verify releases, and that a person can revoke one."""
    runner, place = CliRunner(), ["--workspace", str(small.workspace)]
    listed = runner.invoke(app, ["status", "--participant", withdrawn, "--json", *place])
    entry = {each["release"]: each for each in json.loads(listed.stdout)}[home.id]
    assert entry["state"] == "revoked" and [person["name"] for person in entry["delete"]] == ["김연구", "Lee Jiwoo"]
    (revoked,) = entry["revoked"]
    assert (revoked["number"], revoked["reason"]) == (2, "withdrawal")
    require_chain(small, home, entry["manifests"])
    everything = runner.invoke(app, ["status", *place]).stdout
    assert "  every copy must be deleted by 김연구 (서울대학교)\n" in everything
    assert f"{later.id}\t{small.board.project.id}\troom\t{PEOPLE - 1}\tbuilt\n" in everything
    shown = runner.invoke(app, ["verify", str(later.package), "--key", str(public_file(small.workspace))])
    assert shown.stdout.startswith(f"verified: release {later.id}, ")
    assert runner.invoke(app, ["verify", str(later.package)]).stdout == shown.stdout  # by the workspace's own key
    outside = shutil.copytree(later.package, small.folder / "copy")
    refused = runner.invoke(app, ["verify", str(outside)])
    assert (refused.exit_code, "outside of a workspace it needs" in refused.stderr) == (2, True)
    for reason, words in (("no reason was stated", []), ("wrong units", ["--reason", "wrong units"])):
        shutil.rmtree(later.revoked, ignore_errors=True)
        shutil.copytree(outside, later.package, dirs_exist_ok=True)
        by_person = runner.invoke(app, ["revoke", later.id, *words, *place])
        assert by_person.stdout.splitlines()[:2] == [
            "release\tproject\ttier\tmembers\tstate",
            f"{later.id}\t{small.board.project.id}\troom\t{PEOPLE - 1}\trevoked",
        ]
        assert by_person.exit_code == 0 and f": {reason}\n" in by_person.stdout and not later.package.exists()
    again = runner.invoke(app, ["propose", str(small.request()), *place])
    assert again.stdout.startswith(later.id) and again.stderr == (
        f"note: {later.id} was revoked and is never built again: say in `why` what has changed, for a new plan\n"
    )
    assert refusal(small, later).endswith(
        "which revokes it; say in `why` of the request what has changed and propose it again; the new plan needs "
        "decisions of its own"
    )
    wrong = runner.invoke(app, ["revoke", "--changed", "--reason", "wrong units", *place])
    assert wrong.exit_code == 2 and "either a release, or --changed alone" in wrong.stderr
    with pytest.raises(InputRefused, match=r"--participant: expected a member of R.*, found somebody else"):
        revoke_release(small.workspace, later.id, registry=small.registry, reason="wrong units", participant=withdrawn)


def test_low_risk_has_one_row_a_participant_and_open_has_counts(small: SmallRelease) -> None:
    low = small.approve(small.propose(tier="low_risk", regions=None, codes=["KCD8/E119", "LOINC/8480-6"]))
    package = build(small, low)
    rows = pq.read_table(package / "participants.parquet")
    assert rows.schema.names == ["project_id", "sex", "birth", "KCD8/E119", "LOINC/8480-6"]
    assert rows.num_rows == PEOPLE and rows["project_id"].to_pylist() == sorted(rows["project_id"].to_pylist())
    groups = Counter(tuple(row.values())[1:] for row in rows.to_pylist())
    assert min(groups.values()) >= 11
    assert {path.name for path in package.iterdir()} == {
        *("README.md", "dictionary.tsv", "manifest.dsse.json", "participants.parquet", "ro-crate-metadata.json")
    }
    opened = small.approve(small.propose(tier="open", regions=None, codes=["KCD8/E119"]))
    counts = pq.read_table(build(small, opened) / "counts.parquet").to_pylist()
    assert counts == [{"code": "KCD8/E119", "kind": "event", "unit": "", "people": PEOPLE}]
    for home in (low, opened):
        shutil.rmtree(home.package)


def test_the_examples_of_the_page_run_next_to_a_package(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PROJECT / "docs" / "releases.md").read_text(encoding="utf-8").split("## Open a package\n", 1)[1]
    examples = re.findall(r"```python\n(.*?)```", page.split("\n## ", 1)[0], re.DOTALL)
    monkeypatch.chdir(copy)
    values: dict[str, Any] = {}
    for example in examples:
        exec(example, values)
    assert values["people"].values.tolist() == [["female", PEOPLE // 2], ["male", PEOPLE // 2]]
    assert len(values["carriers"]) == 2 * PEOPLE and set(values["carriers"].joint_copies) <= {1, 2}
    assert len(values["first"]) == PEOPLE and len(values["observed"]) == PEOPLE
