"""One command verifies all files of a workspace, and each finding has its remedy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import baekman
import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.files.sidecar import write_checked
from baekman.status.verification import parts
from baekman.tables import keys as table_keys
from baekman.tables.files import table_path
from support.finished_workspace import FinishedWorkspace, finished_workspace, write_tables
from typer.testing import CliRunner

PARTS = ["workspace", "deliveries", "registry", "audit log", "keys of tables", "cohort", "tables", "freeze release"]


def command(*words: object, code: int = 0) -> str:
    """Run a command in this process; return its output, or the refusal."""
    groups.register(app)
    result = CliRunner().invoke(app, list(map(str, words)))
    refused = isinstance(result.exception, InputRefused)
    assert (3 if refused else result.exit_code) == code, result.output + repr(result.exception)
    return str(result.exception) if refused else result.output


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FinishedWorkspace:
    """Make a workspace with encrypted tables, a freeze, a receipt and a mark."""
    workspace = finished_workspace(tmp_path_factory.mktemp("verified"))
    audit.record(workspace.root, action="registry.init")
    table_keys.create(workspace.root)
    command("withdraw", workspace.participant_ids[2], "--workspace", workspace.root)
    command("tables", "--cohort", workspace.cohort, "--output", workspace.tables)
    command("cohort", "freeze", "--cohort", workspace.cohort, "--output", workspace.root / "release")
    write_checked(workspace.home.inputs, "{}\n")
    return workspace


@pytest.fixture
def workspace(template: FinishedWorkspace, tmp_path: Path) -> FinishedWorkspace:
    """Return a copy of the template."""
    return replace(template, root=Path(shutil.copytree(template.root, tmp_path / "w", symlinks=True)))


def flip(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def verified(workspace: FinishedWorkspace, code: int = 0) -> dict[str, list[str]]:
    """Return the findings of ``baekman verify`` by part."""
    found: dict[str, list[str]] = {}
    for line in command("verify", "--workspace", workspace.root, code=code).splitlines():
        part, finding = line.split(": ", 1)
        found.setdefault(part, []).append(finding)
    return found


def test_every_part_is_verified_whatever_the_parts_before_have_found(workspace: FinishedWorkspace) -> None:
    assert verified(workspace) == {part: ["whole"] for part in PARTS}
    first, second, third = workspace.participant_ids
    damaged = {
        "workspace": [workspace.mark(third), workspace.receipt(third), workspace.denied],
        "deliveries": [workspace.home.inputs],
        "audit log": [audit.log_file(workspace.root)],
        "keys of tables": [next(workspace.table_keys.glob(f"*/{first}.key"))],
        "cohort": [next(workspace.cohort.glob("batches/*/census/*.parquet"))],
        "tables": [workspace.tables / "tables.json", table_path(workspace.tables, second)],
        "freeze release": [next((workspace.root / "release" / "sites").glob("*.parquet"))],
    }
    for path in [path for paths in damaged.values() for path in paths]:
        flip(path)
    found = verified(workspace, code=3)
    assert list(found) == PARTS
    for part, paths in damaged.items():
        if part == "audit log":
            assert found[part] != ["whole"]
            continue
        for path in paths:
            name = first if path.suffix == ".key" else path.name
            assert any(name in finding and ";" in finding for finding in found[part]), (part, path, found[part])
    assert "registry" in found and found["registry"] != ["whole"]  # it has noted the log and the lists


def test_a_part_that_cannot_be_verified_is_refused_and_stops_no_other(
    workspace: FinishedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.registry / "registry.key").rename(workspace.root / "elsewhere")
    found = verified(workspace, code=3)
    assert found.pop("registry")[0].startswith("registry key: expected a key file, found none")
    assert found == {part: ["whole"] for part in PARTS if part != "registry"}


# what is damaged or lost, the part that finds it, and the command that makes it again
MADE_AGAIN: list[tuple[str, Callable[[Path], object], str, tuple[str, ...]]] = [
    ("workspace.json", flip, "workspace", ("restore", "check")),
    ("workspace.json", Path.unlink, "workspace", ("restore", "check")),
    ("seen.json", flip, "workspace", ("restore", "check")),
    ("tables/tables.json", flip, "tables", ("tables",)),
    ("tables/tables.json", Path.unlink, "tables", ("tables",)),
    ("table_keys/master.id", lambda path: path.write_text("0badcafe\n"), "keys of tables", ("table-keys", "init")),
    ("table_keys/master.id", Path.unlink, "keys of tables", ("table-keys", "init")),
]


def findings(workspace: FinishedWorkspace, part: str) -> list[str]:
    """Return the findings or problems of a part."""
    try:
        return list(next(each for each in parts(workspace) if each.name == part).verify())
    except InputRefused as refusal:
        return [str(problem) for problem in refusal.problems]


def test_the_command_in_a_finding_makes_the_file_again(workspace: FinishedWorkspace) -> None:
    for name, damage, part, words in MADE_AGAIN:
        damage(workspace.root / name)
        assert any(
            Path(name).name in line and f"`baekman {' '.join(words)}" in line for line in findings(workspace, part)
        )
        places = ["--cohort", workspace.cohort, "--output", workspace.tables]
        command(*words, *(places if part == "tables" else ["--workspace", workspace.root]))
        assert findings(workspace, part) == []
    assert verified(workspace) == {part: ["whole"] for part in PARTS}


def test_a_damaged_key_of_a_participant_is_named_and_its_tables_are_written_again(workspace: FinishedWorkspace) -> None:
    first, second = (next(workspace.table_keys.glob(f"*/{name}.key")) for name in workspace.participant_ids[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    words = ["tables", "--cohort", workspace.cohort, "--output", workspace.tables]
    refusal = command(*words, code=3)
    assert refusal == next(iter(verified(workspace, code=1)["keys of tables"]))
    assert re.search("tables P.*expected a value sealed for this record.*delete it and write the table again", refusal)
    first.unlink()
    command(*words)
    assert content != first.read_bytes()
    assert verified(workspace)["tables"] == ["whole"]


def test_tables_stay_encrypted_when_their_keys_are_lost(workspace: FinishedWorkspace) -> None:
    workspace.table_keys.rename(workspace.root / "lost")
    message = "table_keys: expected the keys of these tables, which are encrypted, found none; mount the disk"
    words = ["tables", "--cohort", workspace.cohort, "--output", workspace.tables]
    assert message in command(*words, code=3)
    assert message in command("table-keys", "init", "--workspace", workspace.root, code=3)
    with pytest.raises(InputRefused, match=message):
        write_tables(workspace)
    (workspace.root / "lost").rename(workspace.table_keys)
    assert baekman.open_table(workspace.tables, workspace.participant_ids[0]).num_rows
