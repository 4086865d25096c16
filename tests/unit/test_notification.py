"""The command of `notify`: what it gets, and that nothing depends on it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from baekman import notification
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused, Problem
from baekman.notification import Notifier
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import Waiting
from typer.testing import CliRunner

WAITING = Waiting(
    specimen="S1", participant="P1", gate="qc", reasons=("coverage_low",), since="2026-11-01T00:00:00+00:00"
)


def notifier(workspace: Path, *command: str) -> Notifier:
    return Notifier({"notify": list(command)}, workspace=Workspace(workspace))


def test_a_decision_that_is_needed_is_notified_with_the_specimens(tmp_path: Path) -> None:
    news = notifier(tmp_path, "tee", "news")
    news.decision_needed("D1", [])
    assert not (tmp_path / "news").exists()
    news.decision_needed("D1", [WAITING] * 1001)
    document = json.loads((tmp_path / "news").read_text())
    assert (document["event"], document["delivery"], document["count"]) == ("decision_needed", "D1", 1001)
    assert len(document["waiting"]) == 1000
    assert document["waiting"][0] == {
        "specimen": "S1",
        "participant": "P1",
        "gate": "qc",
        "reasons": ["coverage_low"],
        "since": "2026-11-01T00:00:00+00:00",
        "decided": "",
    }


def test_the_words_of_the_command_are_no_shell_text(tmp_path: Path) -> None:
    notifier(tmp_path, "tee", "$(touch made);news").decision_needed("D1", [WAITING])
    assert [path.name for path in tmp_path.iterdir()] == ["$(touch made);news"]


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        (["no-such-program-1a2b"], "cannot be started (No such file or directory)"),
        (["false"], "ended with exit code 1"),
        (["sh", "-c", "sleep 60 & sleep 60"], "took longer than 0.3 seconds and was killed"),
    ],
)
def test_a_command_that_fails_gives_a_warning_in_bounded_time(
    tmp_path: Path,
    command: list[str],
    trouble: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notification, "SECONDS", 0.3)
    begun = time.monotonic()
    notifier(tmp_path, *command).decision_needed("D1", [WAITING] * 1000)
    assert time.monotonic() - begun < 10
    assert capsys.readouterr().err == f"note: the command of `notify` {trouble}; the delivery is not affected\n"


def test_a_command_that_reads_nothing_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notifier(tmp_path, "true").decision_needed("D1", [WAITING] * 1000)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["deliver", "watch"])
def test_a_refused_delivery_is_notified_without_its_name(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "inbox" / "Hanbit-2026"
    folder.mkdir(parents=True)
    for name in ("delivery.yaml", "manifest.tsv"):
        (folder / name).write_text("Hong Gildong\n", encoding="utf-8")
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    os.utime(folder, (1_700_000_000, 1_700_000_000))
    (tmp_path / "reference.fa").write_text(">c1\nACGT\n")
    (tmp_path / "config.yaml").write_text("reference: reference.fa\nnotify: [tee, -a, news]\n")

    def deliver(delivery: Path, **_: object) -> None:
        raise InputRefused(Problem(file="manifest.tsv", place="header", expected="columns", found="other"))

    monkeypatch.setattr("baekman.deliver.deliver", deliver)
    if not app.registered_groups:
        groups.register(app)
    place = folder.parent if command == "watch" else folder
    options = ["--once", "--quiet-seconds", "0"] if command == "watch" else []
    CliRunner().invoke(app, [command, str(place), "--workspace", str(tmp_path), *options])
    text = (tmp_path / "news").read_text()
    document = json.loads(text)  # one document, once
    assert (document["event"], document["delivery"], document["folder"]) == ("refused", None, folder.stat().st_ino)
    assert document["count"] >= 1 and any("manifest.tsv" in problem for problem in document["problems"])
    assert "Hanbit" not in text and "Hong" not in text
