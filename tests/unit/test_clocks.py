"""Denied now is denied whatever the clock says; a clock behind the newest entry is refused."""

from __future__ import annotations

import datetime as datetimes
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision, today
from baekman.errors import InputRefused
from baekman.registry import denied_list
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry
from baekman.workspace.denied import denied_participants
from baekman.workspace.paths import Workspace
from support.registrations import FIRST, participant_of, table
from typer.testing import CliRunner


def put_clock_back(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: datetimes.tzinfo | None = None) -> datetime:
            return datetime.now(tz) - by

    monkeypatch.setattr("baekman.audit.log.datetime", Clock)
    monkeypatch.setattr("baekman.consent.datetime", Clock)


def refuse(registry: Registry, folder: Path) -> str:
    """Register a participant who refuses today; return the ID."""
    import_registrations(registry, [table(folder, FIRST)])
    participant = participant_of(registry)
    event = ConsentEvent(participant_id=participant, decision=Decision.REFUSED, scopes=ALL_SCOPES, valid_from=today())
    assert denied_list.add_consent(Workspace(folder), event, registry=registry)
    return participant


@pytest.mark.parametrize("days", [0, 1, 400, -1])
def test_who_is_denied_now_is_denied_at_every_day_before(days: int, on_sqlite: Registry, tmp_path: Path) -> None:
    participant = refuse(on_sqlite, tmp_path)
    day = today() - timedelta(days=days)
    assert denied_participants(Workspace(tmp_path), at=day) == {participant}
    assert denied_participants(Workspace(tmp_path), at=date.min) == {participant}


def test_a_clock_behind_the_newest_audit_event_is_refused(
    on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(on_sqlite, tmp_path)
    put_clock_back(monkeypatch, timedelta(days=1))
    with pytest.raises(
        InputRefused, match="clock of this machine: expected a time after the newest entry of the audit"
    ):
        denied_participants(Workspace(tmp_path))
    with pytest.raises(InputRefused, match="clock of this machine"):
        audit.record(tmp_path, action="read")
    groups.register(app)
    assert isinstance(
        CliRunner().invoke(app, ["registry", "show", "--workspace", str(tmp_path)]).exception, InputRefused
    )


def test_a_clock_behind_the_registry_is_refused_where_the_log_is_gone(
    on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(on_sqlite, tmp_path)
    audit.log_file(tmp_path).unlink()
    with pytest.raises(InputRefused, match="audit log: expected event 2, which this workspace has noted, found no log"):
        denied_list.open_in_force(Workspace(tmp_path))
    put_clock_back(monkeypatch, timedelta(days=1))
    with pytest.raises(
        InputRefused, match="clock of this machine: expected a time after the newest entry of the registry"
    ):
        denied_list.open_in_force(Workspace(tmp_path / "another"), registry=tmp_path / "registry")


def test_clocks_of_machines_may_differ_by_seconds(
    on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    participant = refuse(on_sqlite, tmp_path)
    put_clock_back(monkeypatch, timedelta(seconds=5))
    assert denied_participants(Workspace(tmp_path), at=today()) == {participant}
    audit.record(tmp_path, action="read")
