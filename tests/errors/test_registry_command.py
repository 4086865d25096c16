"""The output of the registry commands; no refusal or failure shows a value, path or traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import forks

HEADER = "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from\tname\n"
SECRETS = ("Seoul-Secret", "BAR-77001", "SUBJ-77001", "홍길순")
ROW = f"{SECRETS[0]}\t{SECRETS[1]}\t{SECRETS[2]}\trare\tfemale\tgranted\t2025-01-01\t{SECRETS[3]}\n"


def baekman(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("BAEKMAN_")}
    words = list(map(str, arguments))
    done = forks.run("baekman", words, folder=Path.cwd(), environment={**inherited, **environment})
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "w"
    (tmp_path / "registration.tsv").write_text(HEADER + ROW, encoding="utf-8")
    assert baekman("registry", "init", "--workspace", path)[0] == 0
    return path


def test_from_registration_to_withdrawal(workspace: Path, tmp_path: Path) -> None:
    here = {"BAEKMAN_WORKSPACE": str(workspace)}
    assert baekman("registry", "import", tmp_path / "registration.tsv", **here) == (
        0,
        "1 rows: 1 new participants, 1 new specimens, 1 new consent events, 0 participants updated\n",
        "",
    )
    code, out, err = baekman("registry", "show", **here)
    participant = out.splitlines()[1].split("\t")[0]
    assert (code, out, err) == (
        0,
        "participant_id\tparticipant_type\tgenome\twithdrawn_at\tspecimens\n" + f"{participant}\trare\tgranted\t\t1\n",
        "1 participants: 1 granted\n",
    )
    assert baekman("withdraw", participant, **here)[0] == 0
    assert baekman("withdraw", participant, **here)[2] == "withdrawn before: nothing to do\n"
    assert baekman("registry", "show", **here)[2] == "1 participants: 1 withdrawn\n"
    assert baekman("audit", "verify", **here) == (0, "5 events, whole\n", "")


def test_refusals_are_one_line_each(workspace: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tsv"
    bad.write_text(HEADER + ROW.replace("rare", "x").replace("female", "y"), encoding="utf-8")
    assert baekman("registry", "import", bad, "--workspace", workspace) == (
        3,
        "",
        "refused: bad.tsv: row 2, column participant_type: expected one of rare severe general, "
        "found another value; correct the registration\n"
        "refused: bad.tsv: row 2, column registered_sex: expected one of female male, "
        "found another value; correct the registration\n",
    )
    # a name in the place of an ID
    assert baekman("withdraw", SECRETS[3], "--workspace", workspace) == (
        3,
        "",
        "refused: participant identifier: expected P, 12 characters of 0123456789ABCDEFGHJKMNPQRSTVWXYZ and a check "
        "character, found 3 characters; copy it again from where it was issued\n",
    )


def test_a_damaged_store_shows_no_value(workspace: Path, tmp_path: Path) -> None:
    baekman("registry", "import", tmp_path / "registration.tsv", "--workspace", workspace)
    database = workspace / "registry" / "registry.sqlite"
    content = bytearray(database.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    database.write_bytes(bytes(content))
    code, out, err = baekman("registry", "import", tmp_path / "registration.tsv", "--workspace", workspace)
    assert (code, out) == (1, "")
    assert err == "failed: DatabaseError: SQLITE_CORRUPT (set BAEKMAN_TRACEBACK=1 to see where)\n"


def test_a_key_of_another_registry_is_refused(workspace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert baekman("registry", "init", "--workspace", other)[0] == 0
    key = other / "registry" / "registry.key"
    assert baekman("registry", "show", "--workspace", workspace, BAEKMAN_REGISTRY_KEY=str(key)) == (
        3,
        "",
        "refused: registry key: expected the key that the registry was made with, found another key; "
        "give the right one with --key-file or BAEKMAN_REGISTRY_KEY\n",
    )


def test_show_leaves_its_event_when_its_reader_ends_early(workspace: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from baekman.cli import main; main()",
        "registry",
        "show",
        "--workspace",
        workspace,
    ]
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # a long list fills the buffer
    subprocess.run(command, stdout=write_end, stderr=subprocess.DEVNULL, env=environment, check=False)
    os.close(write_end)
    assert '"action":"registry.show"' in (workspace / "audit" / "events.jsonl").read_text()
