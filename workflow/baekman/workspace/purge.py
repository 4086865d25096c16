"""Removal of a participant from the files of a workspace: files are deleted, or edited where others are in them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baekman.files.atomic import atomic_file, write_text
from baekman.files.digests import sealed_text, unsealed
from baekman.files.sidecar import check_again
from baekman.workspace.paths import APART, BULK, RUN_RECORDS, Top, Workspace
from baekman.workspace.run_lock import snakemake_locks

LARGEST_TEXT = 1 << 28  # bytes; a larger file is not edited

# Returns those of the files that contain an ID of the participant, in any encoding.
Search = Callable[[Sequence[Path]], set[Path]]


@dataclass(frozen=True, kw_only=True)
class Traces:
    """The participant's IDs and how to find them.

    ``base64_cores``: the byte strings that base64 of a text with one of ``ids`` contains.
    ``search`` returns the files that contain one of them.
    """

    ids: tuple[str, ...]
    base64_cores: tuple[bytes, ...]
    search: Search


@dataclass
class Purge:
    """The changes to files, by path relative to the workspace; files in ``left`` still name the participant."""

    removed: set[str] = field(default_factory=set)
    edited: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.removed or self.edited)

    def after(self, receipt: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return ``removed``, ``edited`` and ``left`` for a receipt, with the earlier changes of ``receipt``."""
        return {
            "removed": sorted({*receipt.get("removed", ()), *self.removed}),
            "edited": sorted({*receipt.get("edited", ()), *self.edited}),
            "left": sorted(self.left),
        }


@dataclass(kw_only=True)
class RemovalNote:
    """The changes that a withdrawal is about to make, saved before the first of them.

    A withdrawal that is killed leaves the note. The next one finds there what the receipt must list.

    Attributes:
        path: Its file.
        audit: Number of the newest audit event when the withdrawal began.
        snapshot: The cohort's snapshot that still counted the participant; None when none did.
        has_key: Whether the participant had a key of encrypted tables.
        named: Files and folders named by the IDs, relative to the workspace.
        searched: Files that contain an ID, relative to the workspace.
        books: Projects with a row of the participant in their book (``registry.books``).
        releases: Releases with a package that had the participant.
        is_done: Whether all noted changes are made; only the receipt is missing.
    """

    path: Path
    audit: int
    snapshot: int | None = None
    has_key: bool = False
    named: set[str] = field(default_factory=set)
    searched: set[str] = field(default_factory=set)
    books: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)
    is_done: bool = False

    @classmethod
    def read(cls, path: Path, *, audit: int) -> RemovalNote:
        """Return the note in ``path``, else an empty one with the number ``audit``."""
        if not path.is_file():
            return cls(path=path, audit=audit)
        values = json.loads(path.read_text("utf-8"))
        return cls(
            path=path,
            audit=values["audit"],
            snapshot=values["snapshot"],
            has_key=values["has_key"],
            named=set(values["named"]),
            searched=set(values["searched"]),
            books=set(values.get("books", ())),
            releases=set(values.get("releases", ())),
            is_done=values.get("is_done", False),
        )

    def save(self) -> None:
        """Write the note."""
        values = {"audit": self.audit, "snapshot": self.snapshot, "has_key": self.has_key, "is_done": self.is_done}
        sets = ("named", "searched", "books", "releases")
        names = {name: sorted(getattr(self, name)) for name in sets}
        write_text(self.path, json.dumps({**values, **names}) + "\n")

    def purge(self, workspace: Workspace, *, left: set[str]) -> Purge:
        """Return the changes that were made, by the state of the noted files; ``left`` still name the participant."""
        noted = self.named | self.searched
        present = {name for name in noted if os.path.lexists(workspace.root / name)}
        return Purge(removed=noted - present, edited=(present & self.searched) - left, left=left)


def note_files(workspace: Workspace, traces: Traces, *, note: RemovalNote) -> bool:
    """Add to ``note`` the files and folders to remove or edit; return whether there are any now.

    Entries ``APART`` are not touched; in ``BULK`` only names are searched.
    """
    named = {path for path in _everything(workspace) if _is_named(path.relative_to(workspace.root), traces)}
    others = [path for path in _searched(workspace) if path not in named and not path.is_symlink()]
    # a run that is alive removes its own locks at its end
    searched = {path for path in traces.search(others) if path.parent != snakemake_locks(workspace)}
    note.named |= {workspace.relative(path) for path in named}
    note.searched |= {workspace.relative(path) for path in searched}
    return bool(named or searched)


def purge_files(workspace: Workspace, traces: Traces, *, note: RemovalNote) -> list[Path]:
    """Delete the noted files and folders named by the IDs, then take the IDs out of the other noted files.

    A line of a table or log goes as a whole; of JSON the smallest list element, key or object goes. A record of a
    run that cannot be edited is deleted.

    Returns:
        The records of runs that are deleted, now or by a withdrawal that was killed, sorted. Reports in HTML come in
        any case, since a kill may have left the new report in part.
    """
    # the content of a folder comes before the folder
    for name in sorted(note.named, reverse=True):
        _remove(workspace.root / name)
    for path in sorted(traces.search([path for name in note.searched if (path := workspace.root / name).is_file()])):
        try:
            is_clean = _edit(path, traces.ids) and not traces.search([path])
        except FileNotFoundError:  # a run that is alive removed it
            continue
        if not is_clean and path.relative_to(workspace.root).parts[0] in RUN_RECORDS:
            path.unlink(missing_ok=True)
    records = (workspace.root / name for name in note.searched)
    return sorted(path for path in records if path.suffix == ".html" or not path.exists())


def remaining(workspace: Workspace, traces: Traces) -> set[str]:
    """Return the files that still contain an ID, by path relative to the workspace."""
    return {workspace.relative(path) for path in traces.search(list(_searched(workspace)))}


def _searched(workspace: Workspace) -> Iterator[Path]:
    """Yield the files and links to search inside."""
    for path in _everything(workspace):
        if not BULK & set(path.relative_to(workspace.root).parts[:-1]) and (path.is_symlink() or path.is_file()):
            yield path


def _everything(workspace: Workspace) -> Iterator[Path]:
    """Yield all files and folders except ``APART``; the content of a folder comes before the folder."""
    if not workspace.root.is_dir():
        return
    for entry in sorted(workspace.root.iterdir()):
        if entry.name not in APART:
            yield from _below(entry)


def _below(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            yield from _below(entry)
    yield path


def _is_named(relative: Path, traces: Traces) -> bool:
    """Return whether ``relative`` contains an ID, plainly or in base64 (Snakemake's metadata)."""
    if any(identifier in relative.as_posix() for identifier in traces.ids):
        return True
    if relative.parts[0] != Top.SNAKEMAKE:
        return False
    # Snakemake splits a long name into folders whose names begin with @
    joined = "".join(part.removeprefix("@") for part in relative.parts[2:]).encode()
    return any(core in joined for core in traces.base64_cores)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _edit(path: Path, ids: Sequence[str]) -> bool:
    """Take ``ids`` out of a text file; return False when it cannot be edited.

    The modification time stays, so that Snakemake runs no job again.
    """
    status = path.stat()
    # Snakemake's metadata on an output that was made with the participant is wrong now
    if "metadata" in path.parts or status.st_size > LARGEST_TEXT:
        return False
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    editor = _EDITORS.get(path.suffix)
    edited = editor(text, ids) if editor else None
    if edited is None:
        return False
    with atomic_file(path) as temporary:
        temporary.write_text(edited, encoding="utf-8")
        temporary.chmod(status.st_mode & 0o7777)
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
    check_again(path)
    return True


def _without_lines(text: str, ids: Sequence[str]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(identifier in line for identifier in ids))


def _without_values(text: str, ids: Sequence[str]) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    pruned = _pruned(value, ids)
    if pruned is _GONE:
        return None
    if unsealed(text.encode()) is not None:
        return sealed_text(pruned)
    return json.dumps(pruned, indent=1, ensure_ascii=False) + "\n"


_GONE = object()
_EDITORS: dict[str, Callable[[str, Sequence[str]], str | None]] = {
    ".tsv": _without_lines,
    ".csv": _without_lines,
    ".txt": _without_lines,
    ".log": _without_lines,
    ".jsonl": _without_lines,
    ".json": _without_values,
}


def _pruned(value: Any, ids: Sequence[str]) -> Any:
    """Return ``value`` without the parts that name one of ``ids``; an object with an ID as a value goes whole."""
    if isinstance(value, str):
        return _GONE if any(identifier in value for identifier in ids) else value
    if isinstance(value, list):
        return [kept for kept in (_pruned(item, ids) for item in value) if kept is not _GONE]
    if isinstance(value, dict):
        if any(isinstance(item, str) and item in ids for item in value.values()):
            return _GONE
        kept_keys = (key for key in value if not any(identifier in key for identifier in ids))
        pairs = ((key, _pruned(value[key], ids)) for key in kept_keys)
        return {key: item for key, item in pairs if item is not _GONE}
    return value
