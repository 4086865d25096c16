"""Encrypted tables: a key opens its own participant's tables, and nothing opens them once it is destroyed."""

from __future__ import annotations

import base64
import json
import shutil
import stat
import subprocess
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from baekman import audit, open_tables, steps, withdrawal
from baekman.arrow import parquet_options
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cohort.schema import TABLE
from baekman.cohort.store import open_store
from baekman.config.loading import complete
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.freezes.freeze import freeze
from baekman.key_ring import Key, make_key_file
from baekman.privacy import leakscan
from baekman.privacy.leak_patterns import Identifier, matcher_of
from baekman.tables import files as table_files
from baekman.tables import keys as table_keys
from baekman.tables import make as tables
from baekman.workspace.denied import withdrawn_participants
from support.finished_workspace import DELIVERY, FinishedWorkspace, finished_workspace, write_tables
from support.store_tools import baekman
from typer.testing import CliRunner


@pytest.fixture
def workspace(workspace: FinishedWorkspace, tmp_path: Path) -> FinishedWorkspace:
    """Return the finished workspace with keys; its tables were written plain first, and are encrypted."""
    shutil.copytree(workspace.tables, tmp_path / "plain")
    table_keys.create(workspace.root)
    write_tables(workspace)
    return workspace


def both(folder: Path, participant: str) -> list[Path]:
    return [table_files.table_path(folder, participant), table_files.reference_path(folder, participant)]


def keys_of(workspace: FinishedWorkspace) -> table_keys.TableKeys:
    keys = table_keys.open_keys(workspace.root)
    assert keys is not None
    return keys


def master_of(workspace: FinishedWorkspace) -> Path:
    return workspace.table_keys / "master.key"


def ask(workspace: FinishedWorkspace, participant: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `baekman query` as a process of its own: as a researcher's, it has read nothing before."""
    question = ["--participant", participant, "--tables", str(folder), "--format", "csv"]
    return baekman("query", "--cohort", workspace.cohort, *question, check=False)


def test_a_table_cannot_be_read_without_its_key_and_says_nothing(workspace: FinishedWorkspace) -> None:
    participant = workspace.participant_ids[0]
    for path in both(workspace.tables, participant):
        with pytest.raises(OSError, match="encrypted"):
            pq.read_table(path)
        for telling in (participant.encode(), b"participant_id", b"baekman", b"PAR1"):
            assert telling not in path.read_bytes()


def test_the_rows_of_an_encrypted_table_are_byte_for_byte_those_of_a_plain_one(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    for participant in workspace.participant_ids:
        plain = table_files.table_path(tmp_path / "plain", participant)
        with table_files.open_table(
            table_files.table_path(workspace.tables, participant), participant=participant, keys=keys_of(workspace)
        ) as file:
            schema = TABLE.with_metadata(dict(sorted(file.schema_arrow.metadata.items())))
            with pq.ParquetWriter(tmp_path / "again", schema, **parquet_options(schema)) as writer:
                for number in range(file.num_row_groups):
                    group = file.read_row_group(number).cast(schema)
                    writer.write_table(group, row_group_size=group.num_rows)
        assert (tmp_path / "again").read_bytes() == plain.read_bytes()


def test_tables_of_which_no_key_is_left_name_the_way_on(workspace: FinishedWorkspace) -> None:
    for participant in workspace.participant_ids:
        (workspace.table_keys / participant[1:3] / f"{participant}.key").unlink()
    with pytest.raises(InputRefused) as refusal:
        open_tables(workspace.tables, workspace=workspace.root)
    assert str(refusal.value) == (
        "tables: expected tables, found none that can be read; name the workspace that has their keys, as workspace='W'"
    )


def test_an_encrypted_table_of_the_same_snapshot_is_not_written_again(workspace: FinishedWorkspace) -> None:
    before = workspace.files()
    write_tables(workspace)
    assert workspace.files() == before


def test_a_participants_key_opens_no_other_table(workspace: FinishedWorkspace) -> None:
    participant, other = workspace.participant_ids[:2]
    shutil.rmtree(workspace.tables / "hashes")
    shutil.copy(table_files.table_path(workspace.tables, participant), table_files.table_path(workspace.tables, other))
    with pytest.raises(OSError, match="decryption"):
        table_files.open_table(
            table_files.table_path(workspace.tables, other), participant=other, keys=keys_of(workspace)
        )
    keys = workspace.table_keys
    files = [keys / name[1:3] / f"{name}.key" for name in (participant, other)]
    files[1].write_bytes(files[0].read_bytes())
    with pytest.raises(InputRefused, match="expected a value sealed for this record"):
        keys_of(workspace).decryption(other)


def test_the_master_key_is_enough_for_a_freeze_and_a_query(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    freeze(open_store(workspace.cohort), output=tmp_path / "release")
    participant = workspace.participant_ids[0]
    assert all(table_keys.is_encrypted(path) for path in both(tmp_path / "release" / "tables", participant))
    answer = ask(workspace, participant, tmp_path / "release" / "tables")
    assert answer.returncode == 0, answer.stderr
    rows = pl.read_csv(answer.stdout.encode())
    with pq.ParquetFile(table_files.table_path(tmp_path / "plain", participant)) as plain:
        assert (rows.height, rows.columns) == (plain.metadata.num_rows, TABLE.names)
    assert rows["participant_id"].unique().to_list() == [participant]


def test_a_withdrawal_makes_every_copy_unreadable_in_a_fresh_process(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, stayer = workspace.participant_ids[1], workspace.participant_ids[0]
    shutil.copytree(workspace.tables, tmp_path / "back-up")
    assert ask(workspace, gone, tmp_path / "back-up").returncode == 0
    receipt = withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry)
    assert "table_keys: the key of this participant's tables" in receipt["removed"]
    refused = ask(workspace, gone, tmp_path / "back-up")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "expected a participant with consent to this use in force" in refused.stderr
    # also where nobody asks for consent
    with pytest.raises(InputRefused) as refusal:
        keys_of(workspace).decryption(gone)
    assert str(refusal.value) == (
        f"tables: {gone}: expected the key of this participant's tables, found none; "
        "it was destroyed by a withdrawal, or the tables are of another workspace"
    )
    assert not [path for path in (workspace.table_keys).rglob("*") if gone in path.name]
    # nothing that is still there opens the copy, the master key neither
    key_of_stayer = keys_of(workspace).decryption(stayer)
    for path in both(tmp_path / "back-up", gone):
        with pytest.raises(OSError, match="decryption"):
            pq.read_table(path, decryption_properties=key_of_stayer)
    assert ask(workspace, stayer, workspace.tables).returncode == 0
    assert withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry)["changed"] is False


def test_the_others_tables_are_encrypted_again_after_a_withdrawal(workspace: FinishedWorkspace) -> None:
    stayer = workspace.participant_ids[0]
    before = table_files.table_path(workspace.tables, stayer).read_bytes()
    withdrawal.withdraw(workspace, workspace.participant_ids[1], registry=workspace.opened_registry)
    for path in both(workspace.tables, stayer):
        assert table_keys.is_encrypted(path)
    assert table_files.table_path(workspace.tables, stayer).read_bytes() != before
    assert tables.stale_tables(open_store(workspace.cohort), workspace.tables) == []


def test_a_key_that_running_work_makes_after_the_withdrawal_is_destroyed_too(workspace: FinishedWorkspace) -> None:
    gone = workspace.participant_ids[1]
    withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry)
    keys_of(workspace).encryption(gone)
    assert table_keys.has_key(workspace.root, gone)
    assert withdrawal.sweep(workspace) == [gone]
    assert not table_keys.has_key(workspace.root, gone)


def test_without_the_master_key_a_withdrawal_is_refused_before_anything_or_leaves_the_tables(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    gone = workspace.participant_ids[1]
    master_of(workspace).rename(tmp_path / "master.key")
    before = workspace.files()
    with pytest.raises(InputRefused) as refused:
        withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry)
    assert str(refused.value) == (
        "tables key: expected a key file, found none; give it with BAEKMAN_TABLES_KEY; "
        "`baekman table-keys init` makes one"
    )
    assert workspace.files() == before
    assert not withdrawn_participants(workspace)
    receipt = withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry, leave_tables=True)
    assert not table_keys.has_key(workspace.root, gone)
    assert receipt["remains"] == [*withdrawal.REMAINS, withdrawal.LEFT_TABLES]


def test_no_table_is_written_plain_where_the_keys_are_not_at_hand(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    keys = workspace.table_keys
    keys.rename(tmp_path / "elsewhere")
    with pytest.raises(InputRefused, match="found an encrypted table and no table_keys next to the cohort"):
        write_tables(workspace)
    keys.symlink_to(tmp_path / "not mounted")
    with pytest.raises(InputRefused, match=r"table_keys: master\.id: expected the ID of the master key, found none"):
        write_tables(workspace)
    keys.unlink()
    keys.symlink_to(tmp_path / "elsewhere")
    write_tables(workspace)


def test_another_master_key_is_refused(
    workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key_file(tmp_path / "other.key", [Key.new(table_keys.TABLES)])
    monkeypatch.setenv("BAEKMAN_TABLES_KEY", str(tmp_path / "other.key"))
    with pytest.raises(InputRefused) as refused:
        write_tables(workspace)
    assert str(refused.value) == (
        "tables key: expected the key that the tables was made with, found another key; "
        "give the right one with BAEKMAN_TABLES_KEY"
    )


def test_keys_are_for_their_owner_alone(workspace: FinishedWorkspace) -> None:
    keys = workspace.table_keys
    sealed = list(keys.glob("*/*.key"))
    assert len(sealed) == 3
    for file in (*sealed, master_of(workspace)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (keys, *(file.parent for file in sealed)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    master_of(workspace).chmod(0o640)
    with pytest.raises(InputRefused, match="expected a file that only its owner can read"):
        table_keys.open_keys(workspace.root)


def test_after_a_rotation_only_the_new_master_key_opens_tables(
    workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(master_of(workspace), tmp_path / "old.key")
    shutil.copytree(workspace.table_keys, tmp_path / "old keys")
    before = [
        path.read_bytes() for participant in workspace.participant_ids for path in both(workspace.tables, participant)
    ]
    groups.register(app)
    ran = CliRunner().invoke(app, ["table-keys", "rotate", "--workspace", str(workspace.root)])
    assert (ran.exit_code, ran.output) == (0, "3 keys sealed with a new master key\n")
    after = [
        path.read_bytes() for participant in workspace.participant_ids for path in both(workspace.tables, participant)
    ]
    assert after == before
    for participant in workspace.participant_ids:
        for path in both(workspace.tables, participant):
            table_files.open_table(path, participant=participant, keys=keys_of(workspace)).close()
    monkeypatch.setenv("BAEKMAN_TABLES_KEY", str(tmp_path / "old.key"))
    with pytest.raises(InputRefused, match="found another key"):
        table_keys.open_keys(workspace.root)


@pytest.mark.parametrize("stop", range(6))
def test_a_rotation_that_is_stopped_anywhere_loses_no_key_and_is_finished_by_the_next(
    workspace: FinishedWorkspace, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """The rotation is stopped before its first write, between two writes, and before its last."""
    old = master_of(workspace).read_bytes()
    count = 0

    def stopping(write: object) -> object:
        def counted(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == stop + 1:
                raise KeyboardInterrupt
            return write(*arguments, **options)  # type: ignore[operator]

        return counted

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        for name in ("write_secret", "make_key_file", "write_text"):
            patched.setattr(table_keys, name, stopping(getattr(table_keys, name)))
        keys_of(workspace).rotate()
    for participant in workspace.participant_ids:
        table_files.open_table(
            table_files.table_path(workspace.tables, participant), participant=participant, keys=keys_of(workspace)
        ).close()
    keys_of(workspace).rotate()
    assert old.strip() not in master_of(workspace).read_bytes().split()
    assert len(master_of(workspace).read_bytes().split()) == 1
    for participant in workspace.participant_ids:
        keys_of(workspace).decryption(participant)


def test_the_configuration_switches_encryption_on_and_the_audit_log_records_it(tmp_path: Path) -> None:
    (tmp_path / "reference.fa").write_text(">c\nA\n")
    assert complete({"reference": str(tmp_path / "reference.fa")}, source="x")["encrypt_tables"] is False
    made = finished_workspace(tmp_path)
    home = made.home
    for _ in range(2):
        steps.write_tables(
            made,
            batch=home.batch,
            engine=Engine(),
            report=home.report / "tables.json",
            encrypt=True,
        )
    assert all(
        table_keys.is_encrypted(path) for participant in made.participant_ids for path in both(made.tables, participant)
    )
    counts = json.loads((home.report / "tables.json").read_text())["tables"]
    assert [counts[participant]["rows"] for participant in made.participant_ids] == [1, 1, 1]
    withdrawal.withdraw(made, made.participant_ids[1], registry=made.opened_registry)
    assert [(event["action"], event["object"]) for event in audit.events(made.root)] == [
        ("registry.init", ""),
        ("table-keys.init", ""),
        ("tables", DELIVERY),
        ("tables", DELIVERY),
        ("table-keys.destroy", made.participant_ids[1]),
        ("withdraw", made.participant_ids[1]),
    ]


def test_no_key_is_in_any_file_but_its_own(workspace: FinishedWorkspace) -> None:
    keys = keys_of(workspace)
    secret = [base64.b64decode(master_of(workspace).read_bytes())]
    secret += [keys._key(participant) for participant in workspace.participant_ids]
    withdrawal.withdraw(workspace, workspace.participant_ids[1], registry=workspace.opened_registry)
    for key in secret:
        forms = (key, base64.b64encode(key), key.hex().encode())
        for path in workspace.root.rglob("*"):
            if path.is_file() and path != master_of(workspace):
                assert not any(form in path.read_bytes() for form in forms), path.name
    assert base64.b64encode(secret[0]).decode() not in f"{keys!r} {keys.ring!r} {keys.ring.keys!r} {vars(keys)}"


def test_the_leak_scan_reports_that_it_cannot_read_an_encrypted_table(workspace: FinishedWorkspace) -> None:
    path = table_files.table_path(workspace.tables, workspace.participant_ids[0])
    result = leakscan.scan([path], matcher=matcher_of([Identifier(value="SUBJ-0", place="line 1")]))
    assert result.damaged == [(str(path), "content: encrypted")]
