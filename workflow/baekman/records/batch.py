"""The addition of a batch: its rows are spread over buckets, each bucket is a task, then a snapshot appears."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import fsync_folder, fsync_tree
from baekman.files.digests import LIST, digest_of, listed_digests, read_sealed, sha256_of, write_digests, write_sealed
from baekman.records.rows.allowed import Denials, allowed_rows
from baekman.records.rows.covered_days import covered_days, days_of
from baekman.records.rows.episodes import with_episode_texts
from baekman.records.rows.firsts import KIND, Span, firsts_of, spans, write_firsts
from baekman.records.rows.order import codes_of, sorted_rows, write_rows
from baekman.records.rows.parts import part_digest, read_part, write_parts
from baekman.records.schema import COVERAGE, DATED_COVERAGE, EVENTS, SCHEMA_VERSION
from baekman.records.snapshot import RecordBatchEntry, RecordSnapshot, create_snapshot, read_snapshot
from baekman.records.store import BATCH_NAME, RecordStore
from baekman.workspace.denied import lists_records, record_admission, withdrawn_participants
from baekman.workspace.paths import Workspace

DESCRIPTION = "batch.json"
Systems = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class BucketNote:
    """The description of one bucket: counts, the code systems of each source, and the digests of its files.

    The file of its firsts is of several buckets, and is in their ``SpanNote``.

    ``spans``: the first and the last covered day of each source and ``as_of``: [source, as_of, first, last].
    """

    bucket: str
    rows: int
    participants: int
    systems: Systems
    spans: list[list[str]]
    digests: Mapping[str, str]

    @property
    def summary(self) -> dict[str, Any]:
        """The note as a batch describes it; the list of digests has the files."""
        return {name: getattr(self, name) for name in ("rows", "participants", "systems", "spans")}


@dataclass(frozen=True, kw_only=True)
class SpanNote:
    """The result of the task of one span: the notes of its buckets, and the digest of its file of firsts, if any."""

    buckets: list[BucketNote]
    firsts: Mapping[str, str]

    @property
    def digests(self) -> dict[str, str]:
        """Return the digests of all files of the span."""
        return {
            file: digest
            for each in (*(note.digests for note in self.buckets), self.firsts)
            for file, digest in each.items()
        }


def add_batch(
    store: RecordStore,
    *,
    name: str,
    as_of: datetime,
    events: Iterable[pa.RecordBatch],
    coverage: Iterable[pa.RecordBatch],
    engine: Engine,
) -> RecordSnapshot:
    """Add a batch of records and return the snapshot that has it; a batch that is there already changes nothing.

    ``events`` (schema EVENTS) and ``coverage`` (schema COVERAGE) may come in any order and number of record batches;
    an event must lie on a day that the batch itself covers. ``as_of`` is the date and time of the extraction (a zone
    is converted to UTC): of two batches that cover a day, the newer replaces the older.

    Raises:
        InputRefused: A malformed name, other columns or types, an event outside of the batch's coverage, or a batch
            of this name with another content.
    """
    if not BATCH_NAME.fullmatch(name):
        expected = "letters, digits, '.', '_' or '-', at most 64, beginning with a letter or digit"
        raise InputRefused(Problem(file="name of the batch", expected=expected, found="something else"))
    as_of = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    with store.work_lock(name), engine.open() as map_tasks:
        denied = denials(store)
        if read_snapshot(store).entry(name):  # compared below with what may be there now
            _erase(store, denied, name, engine=engine)
        work = store.work / name
        for part in ("events", "coverage"):
            shutil.rmtree(work / part, ignore_errors=True)
        buckets = write_parts(store, events, work / "events", schema=EVENTS)
        buckets |= write_parts(store, coverage, work / "coverage", schema=COVERAGE)
        people = sum(_people(read_part(work / "coverage", bucket, schema=COVERAGE)) for bucket in buckets)
        plan = spans(buckets, of=store.buckets, people=people)
        task = partial(_add_span, store, name, as_of, _by_bucket(store, denied), plan)
        notes = map_tasks("sorting records", task, len(plan))
        _keep_only(work / "batch", notes)
        snapshot = commit_batch(store, work / "batch", name=name, as_of=as_of.isoformat(), notes=notes)
        shutil.rmtree(work)
        now = denials(store)
        # consent that ended in between: of the denial and the commit, the later one erases
        ended = {person: scopes for person, scopes in now.items() if denied.get(person, frozenset()) != scopes}
        return _erase(store, ended, name, engine=engine) if ended else snapshot


def denials(store: RecordStore) -> Denials:
    """Return the denied scopes of each participant, None for a withdrawn one; without a registry no scopes."""
    workspace = Workspace(store.workspace)
    denied: dict[str, set[str]] = {}
    if lists_records(workspace):
        for scope, people in record_admission(workspace).denied.items():
            for participant in people:
                denied.setdefault(participant, set()).add(scope)
    by_scope: dict[str, frozenset[str] | None] = {person: frozenset(scopes) for person, scopes in denied.items()}
    return by_scope | dict.fromkeys(withdrawn_participants(workspace))


def _by_bucket(store: RecordStore, denied: Denials) -> dict[str, dict[str, frozenset[str] | None]]:
    by_bucket: dict[str, dict[str, frozenset[str] | None]] = {}
    for participant, scopes in denied.items():
        by_bucket.setdefault(store.bucket_of(participant), {})[participant] = scopes
    return by_bucket


def _erase(store: RecordStore, denied: Denials, name: str, *, engine: Engine) -> RecordSnapshot:
    from baekman.records.erasure import erase

    return erase(store, denied, engine=engine, only=name)


def _people(coverage: pa.Table) -> int:
    return len(coverage.column("participant_id").unique())


def _add_span(
    store: RecordStore, name: str, as_of: datetime, denied: Mapping[str, Denials], plan: tuple[Span, ...], index: int
) -> SpanNote:
    """Write the files of one span, if they are not there with the same input; return its note."""
    span, work = plan[index], store.work / name
    digests = [part_digest((work / "events", work / "coverage"), bucket) for bucket in span.buckets]
    here = [
        (person, sorted(scopes or ()))
        for bucket in span.buckets
        for person, scopes in sorted(denied.get(bucket, {}).items())
    ]
    inputs = f"{as_of.isoformat()} {span} {digests} {here}"
    note = work / "done" / f"{span.name}.json"
    if note.is_file():
        done = read_sealed(note)
        known = SpanNote(buckets=[BucketNote(**each) for each in done["buckets"]], firsts=done["firsts"])
        if done["inputs"] == inputs and _has(work / "batch", known.digests):
            return known
    notes, firsts = [], []
    for bucket in span.buckets:
        rows, seen = _sorted_part(store, work, bucket, as_of=as_of, denied=denied.get(bucket, {}))
        notes.append(write_bucket(work / "batch", bucket, events=rows, coverage=seen))
        firsts.append(firsts_of(rows))
    result = SpanNote(buckets=notes, firsts=write_firsts(work / "batch", span, firsts))
    content = {"inputs": inputs, "buckets": [vars(each) for each in notes], "firsts": result.firsts}
    write_sealed(note, content, durable=False)
    return result


def _sorted_part(
    store: RecordStore, work: Path, bucket: str, *, as_of: datetime, denied: Denials
) -> tuple[pa.Table, pa.Table]:
    """Return the events and the dated coverage of a bucket that consent allows, sorted."""
    events = read_part(work / "events", bucket, schema=EVENTS)
    coverage = read_part(work / "coverage", bucket, schema=COVERAGE)
    _require_order(coverage)
    mark = pa.array([as_of], pa.timestamp("us"))
    dated = coverage.append_column(DATED_COVERAGE.field("as_of"), pa.chunked_array([mark.take(_zeros(coverage))]))
    days = covered_days([dated.cast(DATED_COVERAGE)])
    _require_inside(events, days.segments_of(events["participant_id"], events["source"], days_of(events["time"])))
    allowed = allowed_rows(store, denied)
    return with_episode_texts(allowed.events(sorted_rows(events))), allowed.people(days.table(dated=True))


def _zeros(table: pa.Table) -> pa.Array:
    return pa.array(np.zeros(table.num_rows, np.int64))


def _require_order(coverage: pa.Table) -> None:
    """Raise InputRefused when an interval ends before it begins."""
    backwards = int((days_of(coverage.column("last")) < days_of(coverage.column("first"))).sum())
    if backwards:
        raise InputRefused(
            Problem(
                file="batch of records, coverage",
                place="column last",
                expected="no day before the first",
                found=f"{backwards} of {coverage.num_rows} rows with one",
            )
        )


def _require_inside(events: pa.Table, segments: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    """Raise InputRefused when an event lies on a day that the batch does not cover."""
    outside = int((segments < 0).sum())
    if outside:
        raise InputRefused(
            Problem(
                file="batch of records, events",
                place="column time",
                expected="events on days that the batch covers",
                found=f"{outside} of {len(segments)} events of a bucket on other days",
                action="correct the period of the delivery, or leave these rows out",
            )
        )


def write_bucket(target: Path, bucket: str, *, events: pa.Table, coverage: pa.Table) -> BucketNote:
    """Write the files of a bucket to the batch folder ``target``: sorted ``events`` and dated ``coverage``."""
    tables = {"events": events, "coverage": coverage}
    digests = {}
    for kind in tables:
        path = target / kind / f"{bucket}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if tables[kind].num_rows:
            write_rows(tables[kind], path)
            digests[f"{kind}/{bucket}.parquet"] = digest_of(path)
    return BucketNote(
        bucket=bucket,
        rows=events.num_rows,
        participants=_people(coverage),
        systems=systems_of(events),
        spans=spans_of(coverage),
        digests=digests,
    )


def spans_of(coverage: pa.Table) -> list[list[str]]:
    """Return the first and the last day of each source and ``as_of`` of dated coverage, sorted."""
    spans = coverage.group_by(["source", "as_of"]).aggregate([("first", "min"), ("last", "max")])
    names = ("source", "as_of", "first_min", "last_max")
    rows = zip(*(spans[name].to_pylist() for name in names), strict=True)
    return sorted(
        [source, as_of.isoformat(), first.isoformat(), last.isoformat()] for source, as_of, first, last in rows
    )


def systems_of(events: pa.Table) -> Systems:
    """Return the code systems of each source's events, sorted."""
    import pyarrow.compute as pc

    if events.num_rows == 0:
        return {}
    sources, names = codes_of(events.column("source"))
    codes, texts = codes_of(events.column("code"))
    systems, system_names = codes_of(pc.replace_substring_regex(texts, "/.*", ""))
    present = np.zeros((len(names), len(system_names)), np.bool_)
    for place in range(len(names)):
        occurring = np.bincount(codes[sources == place] if len(names) > 1 else codes, minlength=len(texts)) > 0
        present[place, systems[occurring]] = True
    return {
        name: [system for system, is_present in zip(system_names.to_pylist(), row, strict=True) if is_present]
        for name, row in zip(names.to_pylist(), present, strict=True)
        if row.any()
    }


def merged_systems(several: Iterable[Systems]) -> Systems:
    """Return the code systems of each source in ``several``, sorted."""
    merged: dict[str, set[str]] = {}
    for systems in several:
        for source, names in systems.items():
            merged.setdefault(source, set()).update(names)
    return {source: sorted(merged[source]) for source in sorted(merged)}


def _has(folder: Path, digests: Mapping[str, str]) -> bool:
    return all((folder / name).is_file() and digest_of(folder / name) == value for name, value in digests.items())


def _keep_only(folder: Path, notes: Iterable[SpanNote]) -> None:
    """Delete files that an earlier command with another input left, or one that was killed."""
    names = {name for note in notes for name in note.digests}
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in names:
            path.unlink()


def commit_batch(store: RecordStore, folder: Path, *, name: str, as_of: str, notes: list[SpanNote]) -> RecordSnapshot:
    """Describe the finished batch in ``folder``, move it into the store, and create the snapshot that has it.

    Raises InputRefused when the latest snapshot has a batch of that name with another content.
    """
    entry = describe(folder, name=name, as_of=as_of, notes=notes)
    with store.lock():
        latest = read_snapshot(store)
        present = latest.entry(name)
        if present is not None:
            if present.digest != entry.digest and not _has_rows_of(folder, store.batch(name)):
                raise InputRefused(
                    Problem(
                        file="name of the batch",
                        expected="a new name, or the content that this batch has already",
                        found="another content; batches never change",
                        action="choose another name: a newer batch corrects what it covers",
                    )
                )
            return latest
        with placed(store, folder, name):
            snapshot = RecordSnapshot(number=latest.number + 1, batches=(*latest.batches, entry))
            create_snapshot(store, snapshot)
        return snapshot


def _has_rows_of(folder: Path, other: Path) -> bool:
    """Return whether two batches have the same events and coverage; an earlier version wrote firsts in other files."""
    mine, theirs = (
        {file: digest for file, digest in listed_digests(each).items() if not file.startswith((KIND, DESCRIPTION))}
        for each in (folder, other)
    )
    return mine == theirs


@contextmanager
def placed(store: RecordStore, folder: Path, name: str) -> Iterator[None]:
    """Move ``folder`` to its place as the batch ``name`` for the block that creates its snapshot.

    The caller holds the store's lock; a folder that is there already is of a writer that died.
    """
    store.require_schema()
    target = store.batch(name)
    shutil.rmtree(target, ignore_errors=True)
    for stale in store.snapshots.glob(".*.tmp"):
        stale.unlink()
    folder.rename(target)
    fsync_folder(target.parent)
    yield


def describe(folder: Path, *, name: str, as_of: str, notes: list[SpanNote]) -> RecordBatchEntry:
    """Write the description and the list of digests of a finished batch, make it durable; return its entry.

    Buckets without a file are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digests = {file: digest for span in notes for file, digest in span.digests.items()}
    buckets = [note for span in notes for note in span.buckets if note.digests]
    lines = "".join(f"{file} {digests[file]}\n" for file in sorted(digests))
    rows, participants = sum(note.rows for note in buckets), sum(note.participants for note in buckets)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    summaries = {note.bucket: note.summary for note in sorted(buckets, key=attrgetter("bucket"))}
    write_sealed(folder / DESCRIPTION, {"schema": SCHEMA_VERSION, "digest": digest, "buckets": summaries})
    write_digests(folder / LIST, {**digests, DESCRIPTION: digest_of(folder / DESCRIPTION)})
    fsync_tree(folder)
    return RecordBatchEntry(
        name=name,
        as_of=as_of,
        digest=digest,
        rows=rows,
        participants=participants,
        hashes=sha256_of(folder / LIST),
    )


def read_description(store: RecordStore, entry: RecordBatchEntry) -> dict[str, Any]:
    """Return the description of a batch: counts, digest, and the summary of each bucket."""
    return read_sealed(store.batch(entry.name) / DESCRIPTION)


def files_of(store: RecordStore, entry: RecordBatchEntry) -> dict[str, str]:
    """Return the digests of the files of a batch by their names."""
    return dict(listed_digests(store.batch(entry.name)))


def buckets_in(files: Iterable[str]) -> set[str]:
    """Return the buckets that have files."""
    return {name.partition("/")[2][:2] for name in files if name.startswith(("events/", "coverage/"))}
