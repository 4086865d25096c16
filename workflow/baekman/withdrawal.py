"""A participant leaves: only what must remain is left in the workspace, and a receipt says what.

First a mark, ``<workspace>/withdrawn/<ID>``, which running work sees without the registry; then the
registry, the cohort, and every file that holds or names the participant. Work that was under way and wrote
after that calls ``sweep`` when it has written: whichever came last, the mark was there before one of them
looked. So every order of a withdrawal and a delivery, a freeze or another withdrawal ends the same, and a
withdrawal that was killed is finished by the same command, or by the next sweep.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baekman import audit
from baekman.cohort import rewrite, store
from baekman.cohort import snapshot as snapshots
from baekman.cohort.garbage import unfinished
from baekman.cohort.index import find_batches
from baekman.engine.local import Engine
from baekman.files.atomic import write_text
from baekman.privacy import leakscan
from baekman.privacy.leak_patterns import Identifier, Matcher, base64_cores, matcher_of
from baekman.registry.records import Registry
from baekman.report import delivery as delivery_report
from baekman.tables import files as table_files
from baekman.tables import keys as table_keys
from baekman.tables import make as tables
from baekman.workspace import run_lock
from baekman.workspace.denied import DENIED, MARKS, deny, mark, marked

RECEIPTS = "receipts"
# what is not searched for files of the participant: each is dealt with on its own, or remains (see REMAINS)
APART = frozenset({MARKS, DENIED, RECEIPTS, audit.FOLDER, table_keys.FOLDER, "registry", "return", "cohort"})
# whose content is others' data, or bulk that names nobody but in the file's name
BULK = frozenset({"participants", "tables", "staged", "reference"})
LARGEST_TEXT = 1 << 28
LEFT_TABLES = {
    "what": "frequencies and joint genotypes in the others' tables, which were made when this participant counted",
    "why": "left to the next freeze, as asked for; the same command without --leave-tables rewrites them",
}

REMAINS = (
    {
        "what": "the registry's link from institution, subject code and specimen label to this ID, sealed",
        "why": "to recognise and refuse a later delivery or registration of the same person",
    },
    {"what": "consent events", "why": "proof of the consent under which data was used, and of its end"},
    {"what": "events of the audit log that name this ID", "why": "the log is append-only; it holds no other data"},
    {"what": "the mark and this receipt", "why": "so that no running work brings the data back"},
    {
        "what": "return reports, with the institution's own labels",
        "why": "they were handed to the institution and hold no genetic data",
    },
    {
        "what": "copies outside the workspace: exports, releases, back-ups",
        "why": "out of reach; whoever made them must be told, the promise is no further use. "
        "Of encrypted tables the key is destroyed: no copy of them can be read",
    },
)


@dataclass
class Purge:
    """What was done to files, by path relative to the workspace; ``left`` still names the participant."""

    removed: set[str] = field(default_factory=set)
    edited: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.removed or self.edited)

    def after(self, receipt: Mapping[str, Any]) -> dict[str, list[str]]:
        """What a receipt says of files, when this was done after what ``receipt`` says."""
        return {
            "removed": sorted({*receipt.get("removed", ()), *self.removed}),
            "edited": sorted({*receipt.get("edited", ()), *self.edited}),
            "left": sorted(self.left),
        }


def withdraw(
    workspace: Path, participant_id: str, *, registry: Registry, workers: int = 1, leave_tables: bool = False
) -> dict[str, Any]:
    """Withdraw ``participant_id`` from everything under ``workspace``; the receipt, which is also saved.

    The others' tables that counted the participant are written anew, or, with ``leave_tables``, left to the
    next freeze, since there may be a million.
    Keys: ``participant withdrawn specimens cohort_snapshot removed edited left remains changed``. Done
    again it changes nothing (``changed`` is false). InputRefused when the ID is not registered, or others'
    encrypted tables would have to be written anew and their master key is not at hand.
    """
    registry.require_participant(participant_id)
    if not leave_tables:
        table_keys.open_keys(workspace)
    specimens = [one.specimen_id for one in registry.specimens_of(participant_id)]
    marked = mark(workspace, participant_id, specimens)
    changed = registry.withdraw(participant_id)
    if changed:
        deny(workspace, registry=registry)
    file = workspace / RECEIPTS / f"{participant_id}.json"
    earlier = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    snapshot = _leave_cohort(workspace, participant_id, workers=workers, is_again=bool(earlier))
    purge = purge_files(workspace, participant_id, specimens)
    if not leave_tables and (stale := _stale_tables(workspace)):
        opened = store.open_store(workspace / "cohort")
        output, engine = workspace / "tables", Engine(workers=workers)
        tables.make_latest_tables(opened, output=output, participants=stale, engine=engine)
    receipt = {
        "participant": participant_id,
        "withdrawn": marked["withdrawn"],
        "specimens": specimens,
        "cohort_snapshot": earlier.get("cohort_snapshot") if snapshot is None else snapshot,
        **purge.after(earlier),
        "remains": [*REMAINS, LEFT_TABLES] if leave_tables and _has_stale_tables(workspace) else list(REMAINS),
    }
    changed = changed or snapshot is not None or bool(purge) or receipt != earlier
    if changed:
        _write_receipt(file, receipt)
        audit.record(
            workspace,
            action="withdraw",
            object=participant_id,
            consent_hash=registry.consent_hash([participant_id]),
        )
    return {**receipt, "changed": changed}


def _write_receipt(file: Path, receipt: Mapping[str, Any]) -> None:
    write_text(file, json.dumps(receipt, indent=1, sort_keys=True) + "\n")


def sweep(workspace: Path, *, workers: int = 1) -> list[str]:
    """Remove again what work under way has written of withdrawn participants; of whom there was something.

    To be called by whatever writes individual data, after it has written. Cheap where there is nothing.
    """
    gone = marked(workspace)
    found = {one for one in gone if _has_files(workspace, one)}
    if (workspace / "cohort" / "store.json").is_file():
        found |= _cohort_holds(store.open_store(workspace / "cohort"), sorted(gone))
    for participant_id in sorted(found):
        content = json.loads((workspace / MARKS / participant_id).read_text("utf-8"))
        _leave_cohort(workspace, participant_id, workers=workers)
        purge_files(workspace, participant_id, content["specimens"])
        audit.record(workspace, action="withdraw.sweep", object=participant_id)
    return sorted(found)


def sweep_after(workspace: Path, delivery_id: str) -> list[str]:
    """Remove what a run of a delivery told of who withdrew since it was received; of whom there was something.

    To be called when the run has ended: until then its logs and Snakemake's metadata are being written.
    """
    received = (workspace / "deliveries" / delivery_id / "specimens.tsv").stat().st_mtime
    found = []
    for participant_id in sorted(marked(workspace)):
        file = workspace / MARKS / participant_id
        if file.stat().st_mtime >= received:
            specimens = json.loads(file.read_text("utf-8"))["specimens"]
            if purge := purge_files(workspace, participant_id, specimens):
                receipt = workspace / RECEIPTS / f"{participant_id}.json"
                if receipt.is_file():
                    earlier = json.loads(receipt.read_text("utf-8"))
                    _write_receipt(receipt, {**earlier, **purge.after(earlier)})
                audit.record(workspace, action="withdraw.sweep", object=participant_id)
                found.append(participant_id)
    return found


def _has_files(workspace: Path, participant_id: str) -> bool:
    folder = workspace / "participants" / participant_id
    if table_keys.has_key(workspace, participant_id):
        return True
    return folder.exists() or table_files.table_path(workspace / "tables", participant_id).exists()


def _cohort_holds(opened: store.Store, participants: Sequence[str]) -> set[str]:
    """Who of ``participants`` is in the cohort's latest snapshot or in work that is not finished."""
    found = find_batches(opened, participants, at=snapshots.read_snapshot(opened))
    at_work = {member["participant_id"] for _, plan in unfinished(opened, "*") for member in plan["members"]}
    return set(found) | at_work.intersection(participants)


def _stale_tables(workspace: Path) -> list[str]:
    """Whose tables counted somebody who is no longer in the cohort."""
    if not (workspace / "cohort" / "store.json").is_file():
        return []
    return tables.stale_tables(store.open_store(workspace / "cohort"), workspace / "tables")


def _has_stale_tables(workspace: Path) -> bool:
    """The same as a question; yes where the tables cannot be read without a key."""
    return table_keys.folder_of(workspace) is not None or bool(_stale_tables(workspace))


def _leave_cohort(workspace: Path, participant_id: str, *, workers: int, is_again: bool = False) -> int | None:
    """Take the participant out of the workspace's cohort; the new snapshot, None when nothing had to change.

    ``is_again``: it was done to its end before, so that there is only what has been added since.
    """
    folder = workspace / "cohort"
    if not (folder / "store.json").is_file():
        return None
    opened = store.open_store(folder)
    if is_again and not _cohort_holds(opened, [participant_id]):
        return None
    before = snapshots.read_snapshot(opened).number
    after = rewrite.withdraw(opened, [participant_id], engine=Engine(workers=workers)).number
    return after if after != before else None


# -- files


def purge_files(workspace: Path, participant_id: str, specimens: Sequence[str] = ()) -> Purge:
    """Remove files and folders named by the IDs, and take the IDs out of tables, JSON and logs.

    The key of the participant's encrypted tables is the first to go.
    A line of a table or log goes as a whole; of JSON the smallest list element or key. A report that cannot
    be edited is made anew from what it was made of, or removed. ``left`` is what a leak scan for the IDs
    still finds.
    """
    ids = [participant_id, *specimens]
    run_lock.clear(workspace)
    purge = Purge()
    if table_keys.destroy(workspace, participant_id):
        purge.removed.add(f"{table_keys.FOLDER}: the key of this participant's tables")
        audit.record(workspace, action="table-keys.destroy", object=participant_id)
    affected: set[Path] = set()
    for path in list(_everything(workspace)):
        relative = path.relative_to(workspace).as_posix()
        if _is_named(path.relative_to(workspace), ids):
            _remove(path)
            purge.removed.add(relative)
    matcher = matcher_of([Identifier(value=one, place=f"line {n}") for n, one in enumerate(ids, 1)])
    for path in list(_everything(workspace)):
        if path.is_symlink() or not path.is_file() or BULK & set(path.relative_to(workspace).parts[:-1]):
            continue
        if path.parent == workspace / run_lock.LOCKS:  # of a run that is alive, and clears them when it ends
            continue
        if not leakscan.scan([path], matcher=matcher).leaks:
            continue
        relative = path.relative_to(workspace).as_posix()
        if _edit(path, ids) and not leakscan.scan([path], matcher=matcher).leaks:
            purge.edited.add(relative)
        elif _belongs_to_a_run(relative):
            path.unlink()
            purge.removed.add(relative)
            affected.add(path)
    for path in sorted(affected):
        if _remake(path):
            purge.edited.add(path.relative_to(workspace).as_posix())
            purge.removed.discard(path.relative_to(workspace).as_posix())
    purge.left = _left(workspace, matcher)
    return purge


def _everything(workspace: Path) -> Iterator[Path]:
    """All files and folders but those ``APART``; of a folder first what is in it."""
    if not workspace.is_dir():
        return
    for entry in sorted(workspace.iterdir()):
        if entry.name not in APART:
            yield from _below(entry)


def _below(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            yield from _below(entry)
    yield path


def _is_named(relative: Path, ids: Sequence[str]) -> bool:
    """Whether ``relative`` names an ID, plainly or in base64 (Snakemake's metadata)."""
    if any(one in relative.as_posix() for one in ids):
        return True
    if relative.parts[0] != ".snakemake":
        return False
    # a long name is split over folders that begin with @
    joined = "".join(part.removeprefix("@") for part in relative.parts[2:]).encode()
    return any(core in joined for one in ids for core in base64_cores(one.encode()))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _belongs_to_a_run(relative: str) -> bool:
    """Whether the file is a record of a run, which may go as a whole when it cannot be edited."""
    return relative.startswith((".snakemake/", "logs/", "benchmarks/", "deliveries/"))


def _edit(path: Path, ids: Sequence[str]) -> bool:
    """Take ``ids`` out of a text file.

    False when it is none. Its time stays: nothing is to run again for it.
    """
    status = path.stat()
    # what Snakemake knows of an output that was made with the participant is no longer true
    if "metadata" in path.parts or status.st_size > LARGEST_TEXT:
        return False
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    editor = _EDITORS.get(path.suffix)
    if editor is None:
        return False
    edited = editor(text, ids)
    if edited is None:
        return False
    write_text(path, edited)
    path.chmod(status.st_mode & 0o7777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def _without_lines(text: str, ids: Sequence[str]) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not any(one in line for one in ids))


def _without_values(text: str, ids: Sequence[str]) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    pruned = _pruned(value, ids)
    return None if pruned is _GONE else json.dumps(pruned, indent=1, ensure_ascii=False) + "\n"


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
    """``value`` without what names one of ``ids``: an object that does so directly goes as a whole."""
    if isinstance(value, str):
        return _GONE if any(one in value for one in ids) else value
    if isinstance(value, list):
        return [kept for kept in (_pruned(item, ids) for item in value) if kept is not _GONE]
    if isinstance(value, dict):
        if any(isinstance(item, str) and item in ids for item in value.values()):
            return _GONE
        pairs = ((key, _pruned(item, ids)) for key, item in value.items() if not any(one in key for one in ids))
        return {key: item for key, item in pairs if item is not _GONE}
    return value


def _remake(path: Path) -> bool:
    """Make a delivery's report anew without the participant; False when it is none that can be made."""
    delivery = path.parent.parent
    verdicts = [file for gate in ("intake", "qc") if (file := delivery / "verdicts" / f"{gate}.json").is_file()]
    try:
        if path.name == "verdicts.html" and verdicts:
            delivery_report.write_verdict_table(verdicts, tsv=path.with_suffix(".tsv"), html=path)
            return True
        if path.name == "multiqc.html" and (delivery / "specimens.tsv").is_file():
            delivery_report.write_multiqc(delivery / "specimens.tsv", output=path)
            return True
    except Exception:  # a report that cannot be made stays removed; the withdrawal goes on
        path.unlink(missing_ok=True)
    return False


def _left(workspace: Path, matcher: Matcher) -> set[str]:
    paths: Iterable[Path] = (
        path
        for path in _everything(workspace)
        if not BULK & set(path.relative_to(workspace).parts[:-1]) and (path.is_symlink() or path.is_file())
    )
    leaks = leakscan.scan(list(paths), matcher=matcher).leaks
    return {Path(leak.file).relative_to(workspace).as_posix() for leak in leaks}
