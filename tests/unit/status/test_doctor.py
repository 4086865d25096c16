"""`baekman doctor`: one line a check with the remedy, in bounded time, and never a key."""

from __future__ import annotations

import socket
import stat
import time
from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.engine import slurm
from baekman.status import doctor
from baekman.status.doctor import Check, checks
from baekman.workspace.identity import identify
from baekman.workspace.paths import Workspace
from typer.testing import CliRunner

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a workspace in order, with stand-ins for the tools and without a cluster."""
    for variable in ("BAEKMAN_SCHEDULER", "BAEKMAN_REGISTRY_KEY", "BAEKMAN_TABLES_KEY", "BAEKMAN_CRYPT4GH_KEY"):
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "w"
    (root / "registry").mkdir(parents=True, mode=0o700)
    root.chmod(0o750)
    (root / "registry" / "registry.key").write_text(f"{SECRET}\n")
    (root / "registry" / "registry.key").chmod(0o600)
    (root / "reference.fa").write_text(">c1\nACGT\n")
    (root / "config.yaml").write_text("reference: reference.fa\n")
    place = Workspace(root)
    identify(place)
    audit.record(root, action="receive", object="D0000000000000")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in ("bwa", "mosdepth"):
        write_tool(bin_folder / tool, "echo version 1.2.3")
    monkeypatch.setenv("PATH", str(bin_folder))
    monkeypatch.setattr(doctor, "LEAST_FREE", 0)
    return place


def write_tool(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def bad(workspace: Workspace, executor: str = "") -> dict[str, Check]:
    """Return the checks that fail, by name; each has a line with a next step."""
    failing = {check.name: check for check in checks(workspace, executor=executor) if not check.is_good}
    assert all(check.remedy or ";" in check.found for check in failing.values())
    return failing


def test_a_workspace_in_order_has_no_bad_line_and_no_key(workspace: Workspace) -> None:
    if not app.registered_groups:
        groups.register(app)
    ran = CliRunner().invoke(app, ["doctor", "--workspace", str(workspace.root)])
    assert ran.exit_code == 0, ran.output
    assert "ok   bwa: 1.2.3" in ran.stdout and "ok   registry key: mode 0600" in ran.stdout
    assert "event 1" in ran.stdout and SECRET not in ran.stdout


def test_a_key_that_others_may_read_is_bad(workspace: Workspace) -> None:
    (workspace.registry / "registry.key").chmod(0o640)
    workspace.registry.chmod(0o755)
    failing = bad(workspace)
    assert set(failing) == {"registry key", "registry folder"} and "chmod 600" in str(failing["registry key"])
    if not app.registered_groups:
        groups.register(app)
    assert CliRunner().invoke(app, ["doctor", "--workspace", str(workspace.root)]).exit_code == 1


def test_a_key_in_the_environment_is_not_shown(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAEKMAN_REGISTRY_KEY", SECRET)
    assert SECRET not in "\n".join(map(str, checks(workspace)))


def test_a_missing_tool_is_bad(workspace: Workspace) -> None:
    (workspace.root.parent / "bin" / "mosdepth").unlink()
    assert "mosdepth" in bad(workspace)


def test_tools_and_slurm_that_hang_are_bad_in_bounded_time(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("bwa", "sinfo", *slurm.COMMANDS):
        write_tool(workspace.root.parent / "bin" / tool, "exec /bin/sleep 60")
    monkeypatch.setattr(doctor, "WAIT_SECONDS", 0.2)
    begun = time.monotonic()
    assert {"bwa", "Slurm"} <= set(bad(workspace, executor="baekman-slurm"))
    assert time.monotonic() - begun < 20


def slurm_lines(workspace: Workspace, executor: str = "") -> list[str]:
    return [str(check) for check in checks(workspace, executor=executor) if check.name.startswith("Slurm")]


def test_a_fault_of_slurm_is_bad_only_where_it_is_asked_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slurm_lines(workspace) == ["ok   Slurm: is not installed here; only --profile slurm needs it"]
    remedy = "run it on a machine that submits jobs"
    assert slurm_lines(workspace, "slurm")[0] == f"BAD  Slurm: is not installed here; {remedy}"
    for command in ("sinfo", *slurm.COMMANDS):
        write_tool(workspace.root.parent / "bin" / command, "echo 'sinfo: error: no controller' >&2; exit 1")
    fault = "Slurm: gives no answer (sinfo: error: no controller)"
    assert slurm_lines(workspace)[0] == f"note {fault}; only --profile slurm needs it"
    assert slurm_lines(workspace, "baekman-slurm")[0] == f"BAD  {fault}; see `sinfo` and `scontrol ping`"
    monkeypatch.setenv("BAEKMAN_SCHEDULER", "slurm:4")
    assert slurm_lines(workspace)[0].startswith("BAD  Slurm: gives no answer")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert slurm_lines(workspace)[1] == "note Slurm plugin: is not installed"
    assert slurm_lines(workspace, "slurm")[1] == f"BAD  Slurm plugin: is not installed; {slurm.INSTALL}"


def test_slurm_that_answers_is_good(workspace: Workspace) -> None:
    for command in ("sinfo", *slurm.COMMANDS):
        write_tool(workspace.root.parent / "bin" / command, "echo debug up")
    assert slurm_lines(workspace, "slurm") == ["ok   Slurm: answers", "ok   Slurm plugin: is installed"]


def test_a_dask_scheduler_is_good_where_it_can_be_reached(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("BAEKMAN_SCHEDULER", f"tls://127.0.0.1:{port}")
        assert "Dask" not in bad(workspace)
    assert "Dask" in bad(workspace)


def test_room_is_compared_with_the_next_delivery(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "next"
    folder.mkdir()
    with (folder / "s1.fastq.gz").open("wb") as file:
        file.truncate(1 << 43)  # a sparse file
    (disk,) = [check for check in checks(workspace, following=folder) if check.name == "disk"]
    assert not disk.is_good and "17592.2 GB needed for the next delivery" in str(disk)


def test_a_cut_audit_log_and_a_lost_id_are_bad(workspace: Workspace) -> None:
    audit.log_file(workspace.root).write_text("")
    (workspace.root / "workspace.json").unlink()
    assert {"audit log", "workspace ID"} <= set(bad(workspace))


def test_nothing_is_changed(workspace: Workspace) -> None:
    def state() -> dict[str, tuple[int, int]]:
        paths = workspace.root.rglob("*")
        return {str(path): (path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) for path in paths}

    before = state()
    list(checks(workspace))
    assert state() == before
