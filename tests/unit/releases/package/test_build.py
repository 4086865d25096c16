"""A package is approved, whole, the same for any number of workers, and goes when it is revoked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman import audit, withdrawal
from baekman.cli.release import app
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.projects.release_key import public_file, release_key
from baekman.registry import denied_list
from baekman.registry.books.book import open_book
from baekman.releases.home import ReleaseHome
from baekman.releases.package import build as build_module
from baekman.releases.package import contents
from baekman.releases.package.build import build_release
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.standing import open_release
from baekman.releases.package.verify import verify_package
from baekman.workspace.paths import Workspace
from support.record_batches import day
from support.small_release import PEOPLE, SmallRelease, small_release
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return small_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def approved(small: SmallRelease) -> ReleaseHome:
    return small.approve(small.propose())


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


def test_the_tables_hold_the_rows_of_the_members_under_project_ids(small: SmallRelease, home: ReleaseHome) -> None:
    package = build(small, home)
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
    small: SmallRelease, home: ReleaseHome
) -> None:
    first = files(build(small, home))
    assert files(build(small, home)) == first  # what is there stays
    shutil.rmtree(home.package)
    assert files(build(small, home, workers=2)) == first


def test_a_kill_at_any_instant_leaves_no_package_and_the_same_command_finishes(
    small: SmallRelease, home: ReleaseHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = files(build(small, home))
    shutil.rmtree(home.package)
    note = PackageFolder.note
    calls = iter(range(100))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def killed_third(self: PackageFolder, *arguments: object) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        note(self, *arguments)  # type: ignore[arg-type]

    points: list[tuple[object, str, object]] = [
        (contents, "spill_persons", killed),
        (PackageFolder, "note", killed_third),
        (contents, "seal", killed),
        (build_module, "held_denials", killed),
    ]
    for owner, name, function in points:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, function)
            build(small, home)
        assert not home.package.exists()
    assert files(build(small, home)) == whole and not list(home.path.glob(".package.*"))


def test_no_decision_no_package(small: SmallRelease) -> None:
    home = small.propose(codes=["KCD8/E119"])
    assert "expected an approval of this plan by irb, of a person outside the project" in refusal(small, home)


def test_a_changed_plan_voids_the_decisions(
    small: SmallRelease, home: ReleaseHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = build_module.make_plan

    def changed(*arguments: object, **options: object) -> object:
        return replace(make(*arguments, **options), members_hash="0" * 64)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "make_plan", changed)
    assert refusal(small, home) == (
        f"{home.id}: expected the plan that was decided on, found another one now: members_hash; "
        "propose the request again; the new plan needs decisions of its own"
    )


def test_an_opening_asks_consent_and_decisions_and_is_recorded(small: SmallRelease, home: ReleaseHome) -> None:
    with pytest.raises(InputRefused, match=f"{home.id}: expected a package, found none"):
        open_release(small.workspace, home.id, registry=small.registry)
    build(small, home)
    assert open_release(small.workspace, home.id, registry=small.registry).package == home.package
    assert [event["action"] for event in audit.events(small.workspace)][-2:] == ["release.build", "release.open"]
    end = small.board.project.irb.expires + timedelta(days=1)
    with pytest.raises(InputRefused, match="an approval of the IRB in force"):
        open_release(small.workspace, home.id, registry=small.registry, at=end)


def test_a_withdrawal_during_the_build_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_release(tmp_path)
    home = small.approve(small.propose())
    scan = contents.scan_package

    def withdraw_and_scan(folder: Path, **options: object) -> int:
        withdrawn = small.participants[3]
        denied_list.withdraw(Workspace(small.workspace), withdrawn, registry=small.registry, is_recorded=False)
        return scan(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(contents, "scan_package", withdraw_and_scan)
    assert refusal(small, home) == (
        f"{home.id}: expected the consent of each member as it was when the release was proposed, "
        "found 1 members with another one now; "
        "propose the request again; `baekman release status` lists what must be deleted"
    )


def tables(package: Path) -> dict[str, pa.Table]:
    return {
        name: pq.read_table(package / name).replace_schema_metadata(None)
        for name in files(package)
        if name.endswith(".parquet")
    }


def test_a_withdrawal_revokes_the_packages_of_the_participant(tmp_path: Path) -> None:
    small = small_release(tmp_path)
    home, public = small.approve(small.propose()), release_key(small.workspace).public
    copy = tmp_path / "copy"
    shutil.copytree(build(small, home), copy)
    verify_package(copy, key=public)
    withdrawn = small.participants[5]
    receipt = withdrawal.withdraw(Workspace(small.workspace), withdrawn, registry=small.registry)
    (manifest,) = home.revoked.iterdir()
    assert f"releases/{home.id}/package: revoked by {manifest.name}" in receipt["removed"]
    assert not home.package.exists() and not open_book(small.registry, small.board.project.id).has_row(withdrawn)
    with pytest.raises(InputRefused, match=r"found number 1, and number 2 of .* revokes it; delete the package"):
        verify_package(copy, key=public, revoked=[home.revoked])
    for refused in (build, lambda small, home: open_release(small.workspace, home.id, registry=small.registry)):
        with pytest.raises(
            InputRefused, match=f"expected a release that is not revoked, found manifest {manifest.name}"
        ):
            refused(small, home)
    # a second call changes nothing, and the next release has the others
    assert not withdrawal.withdraw(Workspace(small.workspace), withdrawn, registry=small.registry)["changed"]
    later = small.approve(small.propose())
    assert later.id != home.id and pq.read_table(build(small, later) / "participants.parquet").num_rows == PEOPLE - 1

    # status
    runner, place = CliRunner(), ["--workspace", str(small.workspace)]
    listed = runner.invoke(app, ["status", "--participant", withdrawn, "--json", *place])
    (entry,) = json.loads(listed.stdout)
    assert (entry["release"], entry["state"]) == (home.id, "revoked")
    assert entry["revoked"][0] | {"day": ""} == {
        "manifest": manifest.name,
        "number": 2,
        "day": "",
        "reason": "withdrawal",
    }
    assert [person["name"] for person in entry["delete"]] == ["김연구", "Lee Jiwoo"]
    everything = runner.invoke(app, ["status", *place]).stdout
    assert "  every copy must be deleted by 김연구 (서울대학교)\n" in everything
    assert f"{later.id}\t{small.board.project.id}\troom\t{PEOPLE - 1}\tbuilt\n" in everything
    shown = runner.invoke(app, ["verify", str(later.package), "--key", str(public_file(small.workspace))])
    assert shown.stdout.startswith(f"verified: release {later.id}, ")
    # a person revokes the next one
    revoked = runner.invoke(app, ["revoke", later.id, "--reason", "wrong units", *place])
    assert revoked.exit_code == 0 and ": wrong units\n" in revoked.stdout and not later.package.exists()
