"""A cohort belongs to its workspace by an ID in both, wherever the path leads."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import baekman
import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cohort.store import create_store, open_store
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision
from baekman.errors import InputRefused
from baekman.files.digests import read_sealed, write_sealed
from baekman.registry.denied_list import add_consent
from baekman.tables import keys as table_keys
from baekman.tables.files import table_path
from baekman.workspace.identity import id_of, identify
from baekman.workspace.paths import Workspace
from support.finished_workspace import FinishedWorkspace, write_tables
from support.store_tools import baekman as run
from typer.testing import CliRunner

NOT_FOUND = (
    "workspace: expected the workspace that the cohort or tables belong to, found none around it; "
    "name the workspace: --workspace DIR (in Python workspace=DIR), or BAEKMAN_WORKSPACE"
)
OF_TWO = (
    "workspace: expected a cohort of one workspace, found a cohort that two workspaces claim; "
    "name the one that it belongs to (--workspace DIR), and remove the copy or link from the other"
)


def refuse(workspace: FinishedWorkspace, number: int = 1) -> str:
    participant = workspace.participant_ids[number]
    event = ConsentEvent(
        participant_id=participant,
        decision=Decision.REFUSED,
        scopes=ALL_SCOPES,
        valid_from=date(2025, 2, 1),
    )
    add_consent(workspace, event, registry=workspace.opened_registry)
    return participant


def link(workspace: FinishedWorkspace, folder: Path) -> Path:
    path = folder / "link"
    path.symlink_to(workspace.cohort)
    return path


def link_of_a_link(workspace: FinishedWorkspace, folder: Path) -> Path:
    first = link(workspace, folder)
    path = folder / "elsewhere" / "cohort"
    path.parent.mkdir()
    path.symlink_to(first)
    return path


def link_to_the_workspace(workspace: FinishedWorkspace, folder: Path) -> Path:
    path = folder / "other-name"
    path.symlink_to(workspace.root)
    return path / "cohort"


def cohort_on_another_disk(workspace: FinishedWorkspace, folder: Path) -> Path:
    (folder / "disk").mkdir()
    shutil.move(workspace.cohort, folder / "disk" / "store")
    workspace.cohort.symlink_to(folder / "disk" / "store")
    return workspace.cohort


def copy_below(workspace: FinishedWorkspace, _: Path) -> Path:
    return Path(shutil.copytree(workspace.cohort, workspace.root / "test" / "c"))


def copy(workspace: FinishedWorkspace, folder: Path) -> Path:
    return Path(shutil.copytree(workspace.cohort, folder / "copies" / "cohort"))


@pytest.mark.parametrize("way", [link, link_of_a_link, link_to_the_workspace, cohort_on_another_disk, copy_below])
def test_every_path_to_a_cohort_asks_its_workspace(way: object, workspace: FinishedWorkspace, tmp_path: Path) -> None:
    audit.record(workspace.root, action="registry.init")
    table_keys.create(workspace.root)
    participant = refuse(workspace)
    path = way(workspace, tmp_path)  # type: ignore[operator]
    cohort = baekman.open_cohort(path)
    assert cohort.store.workspace.resolve() == workspace.root.resolve()
    assert cohort.left_out == 1
    with pytest.raises(InputRefused, match="consent to this use"):
        cohort.calls(participant)
    before = audit.last_sequence(workspace.root)
    cohort.write_tables(tmp_path / "out")
    assert audit.last_sequence(workspace.root) == before + 1
    assert table_keys.is_encrypted(table_path(tmp_path / "out", workspace.participant_ids[0]))


def test_a_copy_or_moved_cohort_asks_the_same_workspace_or_is_refused(
    workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    participant = refuse(workspace)
    path = copy(workspace, tmp_path)
    with pytest.raises(InputRefused) as refused:
        baekman.open_cohort(path)
    assert str(refused.value) == NOT_FOUND
    assert baekman.open_cohort(path, workspace=workspace.root).left_out == 1
    other = Workspace(tmp_path / "other")
    identify(other)
    with pytest.raises(InputRefused, match="found another workspace; correct --workspace"):
        baekman.open_cohort(path, workspace=other.root)
    monkeypatch.setenv("BAEKMAN_WORKSPACE", str(other.root))
    with pytest.raises(InputRefused, match="found none around it, and another in BAEKMAN_WORKSPACE"):
        baekman.open_cohort(path)
    monkeypatch.setenv("BAEKMAN_WORKSPACE", str(workspace.root))
    with pytest.raises(InputRefused, match=participant):
        baekman.open_cohort(path).calls(participant)
    shutil.move(workspace.cohort, tmp_path / "moved")
    assert baekman.open_cohort(tmp_path / "moved").left_out == 1


@pytest.mark.parametrize("make", [shutil.copytree, lambda source, target: target.symlink_to(source)])
def test_a_cohort_that_two_workspaces_claim_is_refused(
    make: object, workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    other = Workspace(tmp_path / "other")
    identify(other)
    make(workspace.cohort, other.cohort)  # type: ignore[operator]
    with pytest.raises(InputRefused) as refused:
        baekman.open_cohort(other.cohort)
    assert str(refused.value) == OF_TWO
    with pytest.raises(InputRefused) as refused:
        identify(other)
    assert str(refused.value) == OF_TWO


def command(*words: object, code: int = 0) -> str:
    """Run a command in this process; return its output, or the refusal where ``code`` is 3."""
    groups.register(app)
    result = CliRunner().invoke(app, list(map(str, words)))
    refused = isinstance(result.exception, InputRefused)
    assert (3 if refused else result.exit_code) == code, result.output + repr(result.exception)
    return str(result.exception) if refused else result.output


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda file: file.unlink(), []),
        (lambda file: file.unlink(), ["tables/tables.json", "seen.json"]),
        (lambda file: file.write_text("{}"), []),
    ],
)
def test_a_lost_workspace_file_is_named_and_made_again(
    damage: object, lost: list[str], workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    audit.record(workspace.root, action="registry.init")
    command("registry", "show", "--workspace", workspace.root)
    refuse(workspace)
    cohort = baekman.open_cohort(workspace.cohort)
    cohort.write_tables(workspace.tables)
    cohort.freeze(workspace.root / "release")
    first = refuse(workspace, 0)
    identity = id_of(workspace.root)
    damage(workspace.identity)  # type: ignore[operator]
    for name in lost:
        (workspace.root / name).unlink()
    commands = [
        ["query", "--cohort", workspace.cohort, "--participant", first],
        ["query", "--cohort", workspace.cohort, "--participant", first, "--workspace", workspace.root],
        ["tables", "--cohort", workspace.cohort, "--output", workspace.tables],
        ["registry", "show", "--workspace", workspace.root],
    ]
    for words in commands:
        refusal = command(*words, code=3)
        assert refusal.startswith(("workspace.json: expected the ID of this workspace", *lost[1:]))
        assert "`baekman restore check" in refusal
    with pytest.raises(InputRefused):  # of a damaged file, or as of any tables without consent
        baekman.open_table(workspace.root / "release" / "tables", first)
    assert "workspace.json: written again" in command("restore", "check", "--workspace", workspace.root)
    assert id_of(workspace.root) == identity
    for words in commands[2:]:
        command(*words)
    assert baekman.open_cohort(workspace.cohort).left_out == 2


def test_the_id_of_another_workspace_is_not_adopted(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    audit.record(workspace.root, action="registry.init")
    command("registry", "show", "--workspace", workspace.root)
    other = Workspace(tmp_path / "other")
    command("registry", "init", "--workspace", other.root)
    command("registry", "show", "--workspace", other.root)
    shutil.copytree(workspace.cohort, other.cohort)
    other.identity.unlink()
    registries = [["--registry", other.registry], ["--registry", workspace.registry]]  # its own, or one of both
    for words in registries:
        refusal = command("restore", "check", "--workspace", other.root, *words, code=3)
        assert "a cohort of another workspace does not belong here" in refusal
    assert not other.identity.exists()


def test_a_copy_of_the_whole_workspace_is_one_of_its_own(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(workspace.root, tmp_path / "copied"))
    refuse(workspace)
    assert id_of(copied) == id_of(workspace.root) != ""
    assert open_store(copied / "cohort").workspace == copied
    assert baekman.open_cohort(copied / "cohort").left_out == 0
    assert baekman.open_cohort(workspace.cohort).left_out == 1


def without_ids(workspace: FinishedWorkspace) -> None:
    """Make the workspace one of an earlier version."""
    workspace.identity.unlink()
    (workspace.root / audit.SEEN_NAME).unlink(missing_ok=True)
    file = workspace.cohort / "store.json"
    description = read_sealed(file)
    del description["workspace"]
    write_sealed(file, description)


def test_a_workspace_of_an_earlier_version_gets_an_id_at_the_first_command_that_writes(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    baekman.open_cohort(workspace.cohort).freeze(tmp_path / "with")
    without_ids(workspace)
    cohort = baekman.open_cohort(workspace.cohort)
    cohort.freeze(tmp_path / "without")
    assert not cohort.store.is_bare and not id_of(workspace.root)
    refuse(workspace)
    assert cohort.left_out == 1
    (workspace.root / audit.SEEN_NAME).unlink()  # an earlier version kept none
    cohort.compact()
    assert id_of(workspace.root) == open_store(workspace.cohort).owner != ""
    assert baekman.open_cohort(link(workspace, tmp_path)).left_out == 1
    names = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.parquet"))
        for name in ("with", "without")
    ]
    assert names[0] == names[1] != []
    assert all(
        (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes() for name in names[0]
    )


def test_the_registry_adopts_the_cohort_that_was_made_before_it(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    store = create_store(tmp_path / "later" / "cohort", reference=tmp_path / "reference.fa")
    assert store.is_bare
    run("registry", "init", "--workspace", tmp_path / "later")
    adopted = open_store(tmp_path / "later" / "cohort")
    assert adopted.owner == id_of(tmp_path / "later") != ""


def test_a_bare_store_says_once_that_it_is_one_and_goes_on(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    note = (
        "note: a bare cohort, of no workspace: no consent is asked and no audit log written "
        "(--workspace DIR names its workspace)\n"
    )
    bare = tmp_path / "elsewhere" / "cohort"
    done = run("cohort", "init", "--cohort", bare, "--reference", tmp_path / "reference.fa")
    assert done.stdout.endswith(note) and not done.stderr
    gvcfs = tmp_path / "list.tsv"
    participant = workspace.participant_ids[0]
    gvcfs.write_text(f"{participant}\t{workspace.participant(participant).gvcf}\tfemale\n")
    assert run("cohort", "add", "--cohort", bare, "--batch", "b", "--gvcfs", gvcfs).stderr == ""
    done = run("export", "--cohort", bare, "--format", "vcf", "--output", tmp_path / "x.vcf")
    assert (done.stdout, done.stderr) == (note, "")
    done = run("query", "--cohort", bare, "--participant", participant)
    assert (done.stderr, participant in done.stdout) == (note, True)
    done = run("query", "--cohort", bare, "--region", "c1", "--purpose", "commercial", check=False)
    assert "expected a cohort or tables of a workspace, where the consent to this purpose can be asked" in done.stderr
    assert run("query", "--cohort", workspace.cohort, "--participant", participant).stderr == ""


def test_tables_know_their_workspace(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    first, participant = workspace.participant_ids[0], refuse(workspace)
    baekman.open_cohort(workspace.cohort).write_tables(workspace.tables)
    write_tables(workspace)
    (tmp_path / "link").symlink_to(workspace.tables)
    moved = Path(shutil.copytree(workspace.tables, tmp_path / "moved" / "tables"))
    for folder in (workspace.tables, tmp_path / "link"):
        assert baekman.open_table(folder, first).num_rows
        with pytest.raises(InputRefused, match="consent to this use"):
            baekman.open_table(folder, participant)
    with pytest.raises(InputRefused) as refused:
        baekman.open_table(moved, first)
    assert str(refused.value) == NOT_FOUND
    with pytest.raises(InputRefused, match="consent to this use"):
        baekman.open_table(moved, participant, workspace=workspace.root)
    baekman.open_cohort(workspace.cohort).freeze(workspace.root / "release")
    shutil.copytree(workspace.root / "release", tmp_path / "handed")
    assert baekman.open_table(tmp_path / "handed" / "tables", first).num_rows
    refuse(workspace, 0)
    with pytest.raises(InputRefused, match="consent to this use"):
        baekman.open_table(workspace.root / "release" / "tables", first)
