"""A changed byte in a file of a delivery, a mark, a receipt or a list of consent is reported, or mended."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from baekman import audit, pseudonyms
from baekman.errors import DamagedFile, InputRefused
from baekman.files.sidecar import read_checked, sidecar_path, write_checked
from baekman.tables.owner import note_owner, owner_of
from baekman.verdicts import Reason, Verdict, read_verdicts, write_verdicts
from baekman.workspace import denied, specimens
from baekman.workspace.current_reads import note_reads, read_current
from baekman.workspace.identity import id_of, identify
from baekman.workspace.paths import ParticipantFolder, Workspace
from baekman.workspace.purge import check_again

FLIPS = int(os.environ.get("BAEKMAN_FLIPS", "12"))
ID = pseudonyms.new("P")


def a_list(path: Path) -> None:
    path.write_text(f"{ID}\t0001-01-01\t\n")
    denied.seal_list(path)


def rows(path: Path) -> None:
    row = specimens.StagedFiles(
        participant_id=ID, specimen_id=pseudonyms.new("S"), entry="bam", lane="1", file_1="a.bam", file_2="",
        sex="female", array_genotypes="",
    )  # fmt: skip
    specimens.write(path, [row])


def verdicts(path: Path) -> None:
    reason = Reason(code="coverage_low", severity="hold", observed=21.5, threshold=25)
    write_verdicts(path, [Verdict.of(specimen_id="S", participant_id=ID, gate="qc", reasons=[reason])])


FILES: dict[str, tuple[str, Callable[[Path], None], Callable[[Workspace], object]]] = {
    "a mark": (
        f"withdrawn/{ID}",
        lambda path: denied.mark_withdrawn(Workspace(path.parents[1]), ID, specimens=["S"]) and None,
        lambda workspace: denied.read_mark(workspace, ID),
    ),
    "denied.txt": ("denied.txt", a_list, lambda workspace: denied.denied_participants(workspace, at=date(2026, 1, 1))),
    "specimens.tsv": ("specimens.tsv", rows, lambda workspace: specimens.read(workspace.root / "specimens.tsv")),
    "verdicts": ("qc.json", verdicts, lambda workspace: read_verdicts(workspace.root / "qc.json")),
    "a receipt": (
        "receipts/R.json",
        lambda path: write_checked(path, '{"withdrawn": "2026-01-01"}\n'),
        lambda workspace: read_checked(workspace.root / "receipts" / "R.json"),
    ),
    "reads.json": (
        f"participants/{ID}/reads.json",
        lambda path: note_reads(ParticipantFolder(path.parent), delivery_id="D2", use="replace", count=lambda: 0),
        lambda workspace: read_current(workspace.participant(ID)),
    ),
    "workspace.json": (
        "workspace.json",
        lambda path: identify(Workspace(path.parent)) and None,
        lambda w: id_of(w.root),
    ),
    "tables.json": (
        "tables.json",
        lambda path: note_owner(path.parent, "0" * 32, encrypted=True),
        lambda workspace: owner_of(workspace.root),
    ),
    "seen.json": (
        "seen.json",
        lambda path: audit.note_seen(path.parent, registry=7, token="ab12", consent=3),
        lambda workspace: audit.read_seen(workspace.root),
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_flipped_bit_is_reported(tmp_path: Path, kind: str) -> None:
    name, write, read = FILES[kind]
    file, workspace = tmp_path / name, Workspace(tmp_path)
    write(file)
    sound, content, draw = read(workspace), file.read_bytes(), random.Random(kind)
    for _ in range(FLIPS):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises((DamagedFile, InputRefused)) as damage:
            read(workspace)
        place = damage.value.filename if isinstance(damage.value, DamagedFile) else str(damage.value)
        assert file.name in place
    for cut in (b"", content[:-1], content + b"\n"):
        file.write_bytes(cut)
        with pytest.raises((DamagedFile, InputRefused)):
            read(workspace)
    file.write_bytes(content)
    assert read(workspace) == sound


def test_a_damaged_mark_is_written_again_and_one_under_another_name_is_reported(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    mark = denied.mark_withdrawn(workspace, ID, specimens=["S"])
    workspace.mark(ID).write_text("{}")
    assert denied.mark_withdrawn(workspace, ID, specimens=["S"]) == mark
    workspace.mark(ID).rename(workspace.mark("P" + "0" * 13))
    with pytest.raises(DamagedFile):
        denied.withdrawn_participants(workspace)


def test_a_kill_between_the_two_files_leaves_a_pair_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    write_checked(file, "first\n")
    for killed_at in (1, 2, 3):
        left = [killed_at]

        def write(path: Path, text: str, *, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise InterruptedError
            path.write_text(text)

        monkeypatch.setattr("baekman.files.sidecar.write_text", write)
        with contextlib.suppress(InterruptedError):
            write_checked(file, f"second {killed_at}\n")
        assert read_checked(file) in ("first\n", "second 2\n", "second 3\n")
    monkeypatch.undo()
    file.write_text("edited by a withdrawal\n")
    check_again(file)
    assert read_checked(file) and len(sidecar_path(file).read_text()) == 65


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"workspace": "\xe3"}'])
def test_a_damaged_workspace_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "workspace.json").write_bytes(content)
    with pytest.raises(InputRefused, match=r"workspace\.json: expected the ID of this workspace"):
        id_of(tmp_path)
