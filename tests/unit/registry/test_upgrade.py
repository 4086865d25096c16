"""A registry of an earlier version is sealed once, and a sealed registry never becomes one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.registry import database
from baekman.registry.denied_list import open_in_force
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, open_registry
from baekman.registry.seal.guard import seal_everything
from baekman.registry.seal.head import read_head
from baekman.registry.seal.resealing import seal_all
from baekman.registry.seal.upgrade import Unsealed
from baekman.registry.verdict_history import note_delivery, record_verdicts, verdict_history
from baekman.verdicts import Verdict
from baekman.workspace.paths import Workspace
from sqlalchemy import text
from support.registrations import FIRST, SECOND, participant_of, table
from typer.testing import CliRunner

UPGRADE = "registry upgrade"
RESTORE = "restore the newest back-up of the registry, then run `baekman restore check`"
STRIPPED = (
    "expected records with the seals that they had.*restore the registry from a back-up, then run `baekman restore"
)


def command(workspace: Path, *words: str, code: int = 0) -> str:
    """Run a command; return its output, or the refusal where ``code`` is 3."""
    groups.register(app)
    result = CliRunner().invoke(app, [*words, "--workspace", str(workspace)])
    refused = isinstance(result.exception, InputRefused)
    assert (3 if refused else result.exit_code) == code, result.output + repr(result.exception)
    return str(result.exception) if refused else result.output


def run(registry: Registry, *statements: str) -> None:
    """Run statements as an administrator of the database would."""
    with registry.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def strip(registry: Registry, *, tables: bool = True) -> None:
    """Delete the seals and the head, and say that the registry is of the version without them."""
    removal = "DROP TABLE" if tables else "DELETE FROM"
    run(registry, f"{removal} seals", f"{removal} heads", "UPDATE settings SET value = '1' WHERE value = '3'")


def as_earlier(registry: Registry, version: str) -> None:
    """Make ``registry`` one that version 1 (without seals) or 2 wrote."""
    old = registry.ring.within("")
    with database.writing(registry.engine) as connection:
        head = read_head(connection, ring=registry.ring)
        assert head is not None
        seal_all(connection, registry.ring, old)
        seal_everything(connection, ring=old, head=head)
    if version == "1":
        strip(registry)
    else:
        run(registry, "UPDATE settings SET value = '2' WHERE value = '3'")


def used(registry: Registry, folder: Path) -> Registry:
    """Fill ``registry`` with two people, a delivery and a verdict; the second person refuses."""
    import_registrations(registry, [table(folder, FIRST, SECOND)])
    delivery_id, _ = note_delivery(registry, "서울병원", "1", "aa")
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    verdict = Verdict.of(
        specimen_id=record.specimen_id, participant_id=record.participant_id, gate="intake", reasons=[]
    )
    record_verdicts(registry, delivery_id, [verdict])
    return registry


@pytest.mark.parametrize("tables", [True, False])
def test_a_registry_without_its_seals_is_never_sealed_again(
    registry: Registry, location: str | None, tmp_path: Path, tables: bool
) -> None:
    used(registry, tmp_path)
    strip(registry, tables=tables)
    run(registry, "DELETE FROM consent_events")
    for workspace in (tmp_path, tmp_path / "elsewhere"):  # with and without an audit log
        workspace.mkdir(exist_ok=True)
        at = location or tmp_path / "registry"
        for unsealed in Unsealed:
            with pytest.raises(InputRefused, match=STRIPPED):
                open_registry(workspace, registry=at, key_file=registry.ring.file, unsealed=unsealed)
    with registry.engine.connect() as connection:
        assert connection.scalar(text("SELECT value FROM settings WHERE name = 'schema_version'")) == "1"


def test_no_record_of_a_sealed_registry_is_sealed_among_older_ones(on_sqlite: Registry, tmp_path: Path) -> None:
    used(on_sqlite, tmp_path)
    with on_sqlite.engine.connect() as connection:
        sealed = connection.scalar(text("SELECT sealed FROM consent_events ORDER BY sequence DESC LIMIT 1"))
    as_earlier(on_sqlite, "1")
    with on_sqlite.engine.begin() as connection:
        statement = "UPDATE consent_events SET sealed = :s WHERE sequence = (SELECT max(sequence) FROM consent_events)"
        connection.execute(text(statement), {"s": sealed})
    with pytest.raises(InputRefused, match=STRIPPED):
        open_registry(tmp_path, unsealed=Unsealed.SEAL)


def test_a_registry_of_the_version_without_seals_is_sealed_by_its_command_only(
    registry: Registry, location: str | None, tmp_path: Path
) -> None:
    used(registry, tmp_path)
    first, states = participant_of(registry), registry.consent_states(participant_of(registry))
    as_earlier(registry, "1")
    for unsealed in (Unsealed.REFUSE, Unsealed.RESTORED):
        with pytest.raises(InputRefused, match=UPGRADE):
            open_registry(tmp_path, registry=location, unsealed=unsealed)
    opened = open_registry(tmp_path, registry=location, unsealed=Unsealed.SEAL)
    assert opened.was_unsealed
    opened.guard.require_whole()
    assert opened.consent_states(first) == states
    record = opened.specimen("서울병원", "BAR-0001")
    assert record is not None
    assert len(verdict_history(opened, record.specimen_id)) == 1
    assert not open_registry(tmp_path, registry=location, unsealed=Unsealed.SEAL).was_unsealed
    opened.withdraw(first)
    run(opened, "UPDATE participants SET withdrawn_at = NULL")
    with pytest.raises(InputRefused, match="found no withdrawal"):
        open_registry(tmp_path, registry=location)


@pytest.mark.parametrize("evidence", ["seen.json", "audit log"])
def test_a_copy_from_before_the_seals_needs_the_check_of_a_restored_workspace(
    on_sqlite: Registry, tmp_path: Path, evidence: str
) -> None:
    used(on_sqlite, tmp_path)
    first = participant_of(on_sqlite)
    open_in_force(Workspace(tmp_path))
    file = tmp_path / "registry" / "registry.sqlite"
    now = file.read_bytes()
    as_earlier(on_sqlite, "1")
    older = file.read_bytes()
    file.write_bytes(now)
    command(tmp_path, "registry", "withdraw", first)
    file.write_bytes(older)
    if evidence == "audit log":
        (tmp_path / audit.SEEN_NAME).unlink()
    for word in ("show", "verify", "upgrade", "init"):
        assert RESTORE in command(tmp_path, "registry", word, code=3)
    assert file.read_bytes() == older
    assert "sealed as they are" in command(tmp_path, "restore", "check")
    assert open_in_force(Workspace(tmp_path)).is_withdrawn(first)


def test_the_command_seals_an_older_registry_and_says_so(on_sqlite: Registry, tmp_path: Path) -> None:
    used(on_sqlite, tmp_path)
    as_earlier(on_sqlite, "1")
    assert UPGRADE in command(tmp_path, "registry", "show", code=3)
    assert command(tmp_path, "registry", "upgrade") == "2 participants and 2 specimens sealed as they are\n"
    assert "registry.upgrade" in [event["action"] for event in audit.events(tmp_path)]
    command(tmp_path, "registry", "show")


def test_a_sealed_registry_of_the_version_before_is_checked_and_bound(on_sqlite: Registry, tmp_path: Path) -> None:
    used(on_sqlite, tmp_path)
    number = on_sqlite.guard.head().sequence
    as_earlier(on_sqlite, "2")
    opened = open_registry(tmp_path)
    assert not opened.was_unsealed
    assert opened.guard.head().sequence == number + 2  # the setting back is a change here too
    opened.guard.require_whole()
    as_earlier(opened, "2")
    run(opened, "DELETE FROM consent_events WHERE sequence = 1")
    with pytest.raises(InputRefused, match="consent event"):
        open_registry(tmp_path)
