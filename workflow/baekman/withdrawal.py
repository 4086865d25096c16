"""The withdrawal of a participant: the workspace keeps only what must remain, and a receipt lists it.

The order of effects: first a mark, ``<workspace>/withdrawn/<ID>``, which running work sees without the registry;
then the registry, the cohort, and every file that holds or names the participant. Running work calls ``sweep``
after it has written. Whichever of both comes last, the mark exists before it looks. So every order of a withdrawal
and a delivery, a freeze or another withdrawal ends the same. The same command, or the next sweep, finishes a
withdrawal that was killed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman import audit
from baekman.cohort import rewrite, store
from baekman.cohort import snapshot as snapshots
from baekman.cohort.add import leave_waiting
from baekman.cohort.garbage import unfinished
from baekman.cohort.gvcf_list import read_waiting
from baekman.cohort.index import find_batches
from baekman.cohort.store import WAITING
from baekman.engine.local import Engine
from baekman.files.locks import exclusive
from baekman.files.sidecar import read_checked, write_checked
from baekman.freezes.files import SUMS_FILE
from baekman.freezes.withdrawal import leave_freezes
from baekman.privacy.leak_patterns import Identifier, base64_cores, matcher_of
from baekman.records.withdrawal import leave_records, sweep_records
from baekman.tables import files as table_files
from baekman.tables import keys as table_keys
from baekman.tables import make as tables
from baekman.workspace import run_lock
from baekman.workspace.abandoned_orders import destroy_abandoned
from baekman.workspace.currency import newest_snapshot, note_cohort
from baekman.workspace.denied import denied_participants, read_mark, withdrawn_participants
from baekman.workspace.paths import STAGED, Workspace
from baekman.workspace.purge import Purge, RemovalNote, Traces, note_files, purge_files, remaining

if TYPE_CHECKING:  # jobs sweep, and never open the registry: SQLAlchemy takes half a second to import
    from baekman.registry.records import Registry

LEFT_TABLES = {
    "what": "frequencies and joint genotypes in the others' tables, which were made when this participant counted",
    "why": "left to the next freeze, as asked for; the same command without --leave-tables rewrites them",
}

LEFT_FREEZES = {
    "what": "sites, frequencies and joint genotypes of freezes in this workspace, which counted this participant",
    "why": "a freeze never changes: write a new one with `baekman cohort freeze`, and delete the older",
}

REMAINS = (
    {
        "what": "the registry's link from institution, subject code and barcode to this ID, sealed",
        "why": "to recognise and refuse a later delivery or registration of the same person",
    },
    {"what": "consent events", "why": "proof of the consent under which data was used, and of its end"},
    {"what": "events of the audit log that name this ID", "why": "the log is append-only; it holds no other data"},
    {"what": "the mark and this receipt", "why": "so that no running work brings the data back"},
    {
        "what": "return reports, with barcodes",
        "why": "they were handed to the institution and hold no genetic data",
    },
    {
        "what": "copies outside the workspace: exports, releases, back-ups",
        "why": "out of reach; whoever made them must be informed, the promise is no further use. "
        "Of encrypted tables the key is destroyed: no copy of them can be read",
    },
)


def withdraw(
    workspace: Workspace, participant_id: str, *, registry: Registry, workers: int = 1, leave_tables: bool = False
) -> dict[str, Any]:
    """Withdraw ``participant_id`` from everything in ``workspace`` and save the receipt.

    The tables of others that counted the participant are written again. With ``leave_tables`` they wait for the
    next freeze, since there may be a million. A second call changes nothing.

    Returns:
        The receipt, with the keys ``participant withdrawn specimens cohort_snapshot removed edited left remains``,
        ``releases`` (``revocation.copies_outside``) if there are any, and ``changed`` (false when nothing was left to
        do), which is not saved.

    Raises:
        InputRefused: The ID is not registered, or encrypted tables of others must be written again and their
            master key is not available.
    """
    from baekman.registry import denied_list
    from baekman.registry.books import every_book
    from baekman.releases.package.revocation import copies_outside, leave_releases

    registry.require_participant(participant_id)
    if not leave_tables:
        table_keys.open_keys(workspace.root)
    specimens = [specimen.specimen_id for specimen in registry.specimens_of(participant_id)]
    changed = denied_list.withdraw(workspace, participant_id, registry=registry, is_recorded=False)
    mark = read_mark(workspace, participant_id)
    file = workspace.receipt(participant_id)
    earlier = json.loads(read_checked(file)) if file.is_file() else {}
    note = _note(workspace, participant_id)
    changed = changed or note.path.is_file()
    snapshot = _leave_cohort(workspace, participant_id, note=note, workers=workers, is_again=bool(earlier))
    table_files.convert_layout(workspace.tables)
    records = leave_records(workspace, [participant_id], workers=workers)
    purge = _purge(workspace, participant_id, specimens, note=note)
    purge.removed |= every_book.leave_books(registry, participant_id, note=note)
    purge.removed |= leave_releases(workspace, participant_id, registry=registry, note=note)
    purge.edited |= records.edited
    if not leave_tables and (opened := _cohort(workspace)) and (stale := _stale_tables(workspace)):
        tables.make_latest_tables(opened, output=workspace.tables, participants=stale, engine=Engine(workers=workers))
    receipt = {
        "participant": participant_id,
        "withdrawn": mark["withdrawn"],
        "specimens": specimens,
        "cohort_snapshot": earlier.get("cohort_snapshot") if snapshot is None else snapshot,
        **records.after(earlier),
        **purge.after(earlier),
        **copies_outside(workspace.root, participant_id, registry=registry),
        "remains": _remains(purge, earlier, has_stale_tables=leave_tables and _has_stale_tables(workspace)),
    }
    changed = changed or snapshot is not None or bool(purge) or bool(records) or receipt != earlier
    if changed:
        consent_hash = registry.consent_hash([participant_id])
        audit.record_once(
            workspace.root, after=note.audit, action="withdraw", object=participant_id, consent_hash=consent_hash
        )
        _write_receipt(file, receipt)
        denied_list.note_log(workspace, registry)
    note.path.unlink(missing_ok=True)
    return {**receipt, "changed": changed}


def _write_receipt(file: Path, receipt: Mapping[str, Any]) -> None:
    write_checked(file, json.dumps(receipt, indent=1, sort_keys=True) + "\n")


def open_registry_and_sweep(
    workspace: Workspace,
    *,
    registry: Path | str | None = None,
    key_file: Path | None = None,
    finishing: str | None = None,
) -> Registry:
    """Open the registry of ``workspace``, put all its denials in force and remove data of withdrawn participants.

    Arguments and errors are as for ``denied_list.open_in_force``. The data of ``finishing`` stay for the caller.
    """
    from baekman.registry import denied_list

    opened = denied_list.open_in_force(workspace, registry=registry, key_file=key_file, finishing=finishing)
    sweep(workspace, apart=finishing)
    note_cohort(workspace)
    return opened


def restore_check(workspace: Workspace, *, registry: Registry, workers: int = 1) -> list[str]:
    """Put a workspace in order after a back-up of any part was restored; return a line for each thing done.

    Withdrawals and refusals that any part knows reach all parts (``restoration.reapply``), and the data of withdrawn
    participants is removed. Then this state counts as the newest that was seen. A second call does nothing.

    Raises:
        InputRefused: Tables of others must be written again, and they are encrypted without their master key at hand.
    """
    table_keys.open_keys(workspace.root)
    from baekman.registry import denied_list, restoration

    lines = restoration.restore_identity(workspace, registry)
    audit.drop_damaged_seen(workspace.root)
    was_in_order = restoration.is_in_order(workspace, registry)
    lost = audit.restart(workspace.root, head=denied_list.noted_log(workspace, registry))
    if lost is not None:
        lines.append(f"the audit log was begun again: events up to {lost} that it lacks are lost")
    lines += restoration.reapply(workspace, registry)
    leave_waiting_of(workspace, apart=withdrawn_participants(workspace))
    for participant_id in sorted(withdrawn_participants(workspace)):
        if _remove_again(workspace, participant_id, workers=workers):
            audit.record(workspace.root, action="withdraw.sweep", object=participant_id)
            lines.append(f"{participant_id}: data removed again")
    if (opened := _cohort(workspace)) and (stale := _stale_tables(workspace)):
        tables.make_latest_tables(opened, output=workspace.tables, participants=stale, engine=Engine(workers=workers))
        lines.append(f"{len(stale)} tables that counted withdrawn participants written again")
    restoration.note_state(workspace, registry)
    if lines or not was_in_order:
        audit.record(workspace.root, action=restoration.CHECKED, consent_hash=registry.consent_hash())
        denied_list.note_registry(workspace, registry)
        lines.append("the state of registry and workspace is noted: commands work again")
    return lines


def _remove_again(workspace: Workspace, participant_id: str, *, workers: int) -> bool:
    """Remove what is there of a withdrawn participant, and add it to the receipt; return whether there was any."""
    before, mark = newest_snapshot(workspace), read_mark(workspace, participant_id)
    note = _note(workspace, participant_id)
    snapshot = _leave_cohort(workspace, participant_id, note=note, workers=workers)
    records = leave_records(workspace, [participant_id], workers=workers)
    purge = _purge(workspace, participant_id, mark["specimens"], note=note)
    purge.edited |= records.edited
    if not workspace.receipt(participant_id).is_file():
        receipt = {"participant": participant_id, **mark, "cohort_snapshot": snapshot, "remains": list(REMAINS)}
        _write_receipt(workspace.receipt(participant_id), {**receipt, **Purge().after({})})
    _add_to_receipt(workspace, participant_id, purge, note=note)
    return bool(purge) or bool(records) or newest_snapshot(workspace) != before


def sweep(workspace: Workspace, *, workers: int = 1, apart: str | None = None) -> list[str]:
    """Remove again the data of withdrawn participants that running work has written since.

    A participant who waits for a batch and has no consent in force waits no longer.

    Every writer of individual data calls it after it has written. It is cheap where nothing is left. The data of
    the participant ``apart`` stay.

    Returns:
        The IDs of the participants with such data, sorted.
    """
    destroy_abandoned(workspace)
    withdrawn = withdrawn_participants(workspace) - {apart}
    leave_waiting_of(workspace, apart={*withdrawn, *([apart] if apart else [])})
    if not withdrawn:
        return []
    table_files.convert_layout(workspace.tables)
    staged = {path.name for path in workspace.deliveries.glob(f"*/{STAGED}/*")}
    affected = {
        one for one in withdrawn if one in staged or _has_files(workspace, one) or _is_unfinished(workspace, one)
    }
    if opened := _cohort(workspace):
        affected |= _cohort_holds(opened, sorted(withdrawn))
    affected |= set(sweep_records(workspace, workers=workers).participants) - {apart}
    for participant_id in sorted(affected):
        note = _note(workspace, participant_id)
        audit.record(workspace.root, action="withdraw.sweep", object=participant_id)
        _leave_cohort(workspace, participant_id, note=note, workers=workers)
        purge = _purge(workspace, participant_id, read_mark(workspace, participant_id)["specimens"], note=note)
        _add_to_receipt(workspace, participant_id, purge, note=note)
    return sorted(affected)


def leave_waiting_of(workspace: Workspace, *, apart: Collection[str] = ()) -> None:
    """Delete participants without consent in force from those who wait for a batch, but not those ``apart``."""
    if (workspace.cohort / WAITING).is_dir() and (opened := _cohort(workspace)):
        leave_waiting(opened, denied=denied_participants(workspace).difference(apart))


def sweep_after(workspace: Workspace, delivery_id: str) -> list[str]:
    """Remove the records of a run of ``delivery_id`` on participants withdrawn since the delivery was received.

    Call it when the run has ended: until then its logs and Snakemake's metadata are being written.

    Returns:
        The IDs of the participants with such records, sorted.
    """
    received = workspace.delivery(delivery_id).specimens.stat().st_mtime
    affected = []
    for participant_id in sorted(withdrawn_participants(workspace)):
        if workspace.mark(participant_id).stat().st_mtime < received:
            continue
        note = _note(workspace, participant_id)
        purge = _purge(workspace, participant_id, read_mark(workspace, participant_id)["specimens"], note=note)
        _add_to_receipt(workspace, participant_id, purge, note=note)
        if purge:
            audit.record(workspace.root, action="withdraw.sweep", object=participant_id)
            affected.append(participant_id)
    return affected


def _remains(purge: Purge, earlier: Mapping[str, Any], *, has_stale_tables: bool) -> list[dict[str, str]]:
    """Return what remains, for a receipt; of freezes by the changes now and in the ``earlier`` receipt."""
    changes = {*purge.edited, *earlier.get("edited", ())}
    has_freezes = any(Path(name).name == SUMS_FILE for name in changes)
    return [*REMAINS, *([LEFT_TABLES] if has_stale_tables else ()), *([LEFT_FREEZES] if has_freezes else ())]


def _note(workspace: Workspace, participant_id: str) -> RemovalNote:
    return RemovalNote.read(workspace.removal_note(participant_id), audit=audit.last_sequence(workspace.root))


def _add_to_receipt(workspace: Workspace, participant_id: str, purge: Purge, *, note: RemovalNote) -> None:
    """Add ``purge`` to the receipt; without a receipt the note stays for the withdrawal that writes it."""
    receipt = workspace.receipt(participant_id)
    if receipt.is_file():
        earlier = json.loads(read_checked(receipt))
        if purge:
            _write_receipt(receipt, {**earlier, **purge.after(earlier)})
        note.path.unlink(missing_ok=True)
    elif note.path.is_file():
        note.is_done = True
        note.save()


def _is_unfinished(workspace: Workspace, participant_id: str) -> bool:
    """Return whether a withdrawal or a sweep was killed before it had made the changes that it noted."""
    path = workspace.removal_note(participant_id)
    return path.is_file() and not RemovalNote.read(path, audit=0).is_done


def _has_files(workspace: Workspace, participant_id: str) -> bool:
    if table_keys.has_key(workspace.root, participant_id):
        return True
    folder = workspace.participant(participant_id).path
    return folder.exists() or table_files.table_path(workspace.tables, participant_id).exists()


def _cohort(workspace: Workspace) -> store.Store | None:
    """Return the cohort of ``workspace``; None before its first batch."""
    return store.open_store(workspace.cohort) if (workspace.cohort / "store.json").is_file() else None


def _cohort_holds(opened: store.Store, participants: Sequence[str]) -> set[str]:
    """Return those of ``participants`` in the cohort's latest snapshot, in unfinished work or among those who wait."""
    in_batches = find_batches(opened, participants, at=snapshots.read_snapshot(opened))
    in_work = {member["participant_id"] for _, plan in unfinished(opened, "*") for member in plan["members"]}
    waiting = {each.member.participant_id for each in read_waiting(opened.waiting)}
    return set(in_batches) | (in_work | waiting).intersection(participants)


def _stale_tables(workspace: Workspace) -> list[str]:
    """Return the participants with tables that counted somebody who is no longer in the cohort."""
    opened = _cohort(workspace)
    return tables.stale_tables(opened, workspace.tables) if opened else []


def _has_stale_tables(workspace: Workspace) -> bool:
    """Return whether there are stale tables; True where encrypted tables cannot be read without a key."""
    return table_keys.folder_of(workspace.root) is not None or bool(_stale_tables(workspace))


def _leave_cohort(
    workspace: Workspace, participant_id: str, *, note: RemovalNote, workers: int, is_again: bool = False
) -> int | None:
    """Remove the participant from the cohort; return the new snapshot, None when nothing had to change.

    ``note`` gets the snapshot before. If a killed withdrawal noted it, the snapshot that followed is returned.
    ``is_again``: an earlier withdrawal was complete, so only batches added since can hold the participant.
    """
    opened = _cohort(workspace)
    if opened is None:
        return None
    if _cohort_holds(opened, [participant_id]):
        note.snapshot = snapshots.read_snapshot(opened).number
        note.is_done = False
        note.save()
    elif is_again and note.snapshot is None:
        return None
    rewrite.withdraw(opened, [participant_id], engine=Engine(workers=workers))
    note_cohort(workspace)
    later = [number for number in snapshots.numbers(opened) if note.snapshot is not None and number > note.snapshot]
    return min(later, default=None)


def _purge(workspace: Workspace, participant_id: str, specimens: Sequence[str], *, note: RemovalNote) -> Purge:
    """Remove the participant from all files, which ``note`` lists first; the key of encrypted tables goes first.

    A report that cannot be edited is written again from its inputs, or deleted.
    """
    # two withdrawals at once would edit the same files, and each would write the other's participant back
    with exclusive(workspace.receipts / ".lock", waits_for="the end of another withdrawal"):
        return _purge_alone(workspace, participant_id, specimens, note=note)


def _purge_alone(workspace: Workspace, participant_id: str, specimens: Sequence[str], *, note: RemovalNote) -> Purge:
    from baekman.report.renewal import write_report_again  # every sweep would load what makes pages

    run_lock.clear(workspace)
    traces = _traces((participant_id, *specimens))
    has_key = table_keys.has_key(workspace.root, participant_id)
    note.has_key = note.has_key or has_key
    if note_files(workspace, traces, note=note) or has_key:
        note.is_done = False
        note.save()
    table_keys.destroy(workspace.root, participant_id)
    if note.has_key:
        audit.record_once(workspace.root, after=note.audit, action="table-keys.destroy", object=participant_id)
    for path in purge_files(workspace, traces, note=note):
        write_report_again(workspace, path)
    leave_freezes(workspace.root, note.named | note.searched, participant=participant_id)
    purge = note.purge(workspace, left=remaining(workspace, traces))
    if note.has_key:
        purge.removed.add(f"{workspace.table_keys.name}: the key of this participant's tables")
    return purge


def _traces(ids: tuple[str, ...]) -> Traces:
    """Return how to find ``ids`` in files: a leak scan, in all encodings that it knows."""
    from baekman.privacy import leakscan

    matcher = matcher_of([Identifier(value=value, place=f"line {n}") for n, value in enumerate(ids, 1)])

    def search(files: Sequence[Path]) -> set[Path]:
        return {path for path in files if leakscan.scan([path], matcher=matcher).leaks}

    cores = tuple(core for value in ids for core in base64_cores(value.encode()))
    return Traces(ids=ids, base64_cores=cores, search=search)
