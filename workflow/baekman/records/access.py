"""The records as an object: what ``baekman.open_records`` gives, and what the command line goes through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from baekman import audit, pseudonyms
from baekman.consent import RECORD_SCOPES, scopes_of
from baekman.errors import InputRefused, Problem
from baekman.records import reading
from baekman.records.snapshot import RecordSnapshot, read_snapshot
from baekman.records.store import RecordStore, open_store
from baekman.workspace.denied import RecordAdmission, audit_purpose, record_admission
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from baekman.query.limits import Limits

Location = str | PathLike[str]


def open_records(workspace: Location, *, purpose: str = "", snapshot: int | None = None) -> Records:
    """Open the records of ``workspace`` at a snapshot, by default the latest.

    ``purpose`` is ``research`` (the default), ``commercial``, ``overseas``, or several with commas: participants
    without consent to it are left out. Raises InputRefused for no store, no such snapshot or an unknown purpose.

    Example:
        >>> import baekman
        >>> baekman.open_records("W")
        <Records snapshot 1: 4 events>
    """
    scopes_of(purpose)
    store = open_store(Path(workspace))
    return Records(store, read_snapshot(store, snapshot), purpose=purpose)


class Records:
    """The records of a workspace, read through one snapshot. ``open_records`` makes it.

    Each method asks for consent again, by scope, and leaves an event in the audit log. Rows without consent are in no
    answer. Days are local dates.

    The examples of the methods go on from this one:
        >>> records = baekman.open_records("W")
        >>> records.snapshot.number
        1
    """

    def __init__(self, store: RecordStore, snapshot: RecordSnapshot, *, purpose: str = "") -> None:
        self.store, self.snapshot, self.purpose = store, snapshot, purpose
        self.workspace = Workspace(store.workspace)
        self._connection: tuple[tuple[RecordAdmission, Limits], duckdb.DuckDBPyConnection] | None = None

    def __repr__(self) -> str:
        return f"<Records snapshot {self.snapshot.number}: {sum(entry.rows for entry in self.snapshot.batches)} events>"

    def sql(self, query: str, *, limits: Limits | None = None) -> duckdb.DuckDBPyRelation:
        """Return the answer to one SELECT over the views as a DuckDB relation, to be evaluated within ``limits``.

        Views: ``events``, ``coverage``, ``firsts``, ``participants``, ``dictionary`` (docs/records.md); function:
        ``state(participant, code, day)``. Raises InputRefused for SQL that does not parse, names an unknown
        column or view, or does more than read the views.

        Example:
            >>> records.sql("SELECT code, count(*) AS people FROM firsts GROUP BY code ORDER BY code").fetchall()
            [('KCD8/E119', 2), ('LOINC/8480-6', 1)]
        """
        import duckdb

        from baekman.query.ask import check_sql, listed_views, refused_sql
        from baekman.query.limits import Limits
        from baekman.records.views import STATE, VIEW_NAMES, connect_records, require_whole

        if (names := listed_views(query, VIEW_NAMES)) is not None:
            return names
        check_sql(query, views_only=True, views=VIEW_NAMES, functions=[STATE])
        admission = self._admit([None, None, query])
        wanted = (admission, limits or Limits())
        if self._connection is None or self._connection[0] != wanted:
            opened = connect_records(self.store, self.snapshot, admission, limits=wanted[1], watched=True)
            self._connection = (wanted, opened)
        try:
            require_whole(self.store, self.snapshot, query)
            return self._connection[1].sql(query)
        except duckdb.Error as error:
            raise refused_sql(error, views=VIEW_NAMES) from None

    @contextmanager
    def query(self, query: str, *, limits: Limits) -> Iterator[duckdb.DuckDBPyRelation]:
        """Yield the answer of ``sql`` as a DuckDB relation, to be read within the block and within ``limits``."""
        import duckdb

        from baekman.files.snapshots import reading_numbered
        from baekman.query.ask import listed_views, refused_sql
        from baekman.records.views import VIEW_NAMES

        if (names := listed_views(query, VIEW_NAMES)) is not None:
            yield names
            return
        try:
            with reading_numbered(self.store.snapshots, self.snapshot.number, missing=duckdb.Error):
                relation = self.sql(query, limits=limits)
                assert self._connection is not None
                with limits.enforced(self._connection[1]):
                    yield relation
        except duckdb.Error as error:
            raise refused_sql(error, views=VIEW_NAMES) from None

    def state(self, participant: str, code_or_source: str, day: date) -> str:
        """Return ``recorded``, ``observed without an event`` or ``not observed``: a participant's state on a day.

        ``code_or_source`` is a code of the dictionary, ``SYSTEM/CODE``, or a source. A source has observed a code on
        the days that it covers if it records codes of that system at all. Raises InputRefused for a participant without
        consent in force.

        Example:
            >>> from datetime import date
            >>> [records.state("P000000000001K", "KCD8/E119", date(2015, 1, day)) for day in (2, 3)]
            ['recorded', 'observed without an event']
            >>> records.state("P000000000001K", "KCD8/E119", date(2016, 1, 1))
            'not observed'
        """
        import numpy as np

        from baekman.records.rows.covered_days import days_of
        from baekman.records.views import NOT_OBSERVED, OBSERVED, RECORDED

        admission = self._admit([participant, code_or_source, day], participant=participant)
        events, coverage = reading.life(self.store, self.snapshot, participant, scopes=admission)
        number = (day - date(1970, 1, 1)).days
        is_code = "/" in code_or_source
        asked = np.asarray(events.column("code" if is_code else "source").to_pylist(), dtype=object) == code_or_source
        if (asked & (days_of(events.column("time")) == number)).any():
            return RECORDED
        covers = (days_of(coverage.column("first")) <= number) & (number <= days_of(coverage.column("last")))
        sources = {name for name, is_covered in zip(coverage["source"].to_pylist(), covers, strict=True) if is_covered}
        if not is_code:
            return OBSERVED if code_or_source in sources else NOT_OBSERVED
        if not self._admits_code(admission, participant, code_or_source):
            return NOT_OBSERVED
        system = code_or_source.partition("/")[0]
        recorded = reading.systems(self.store, self.snapshot)
        return OBSERVED if any(system in recorded.get(source, ()) for source in sources) else NOT_OBSERVED

    def events(self, participant: str) -> pa.Table:
        """Return a participant's events (schema EVENTS of docs/records.md), sorted by time.

        Raises InputRefused for a participant without consent in force.

        Example:
            >>> records.events("P000000000001K").select(["code", "value"]).to_pylist()
            [{'code': 'KCD8/E119', 'value': None}, {'code': 'LOINC/8480-6', 'value': 121.0}]
        """
        admission = self._admit(["events", participant], participant=participant)
        return reading.life(self.store, self.snapshot, participant, scopes=admission)[0]

    def coverage(self, participant: str) -> pa.Table:
        """Return the days of a participant that each source has seen, as intervals; both ends are inclusive.

        Raises InputRefused for a participant without consent in force.

        Example:
            >>> records.coverage("P000000000001K").to_pylist()[0]["last"]
            datetime.date(2015, 12, 31)
        """
        admission = self._admit(["coverage", participant], participant=participant)
        return reading.life(self.store, self.snapshot, participant, scopes=admission)[1]

    def _admit(self, question: list[object], *, participant: str = "") -> RecordAdmission:
        """Return what may be read now, after the use is recorded; refuse a ``participant`` without any consent."""
        admission = record_admission(self.workspace, purpose=self.purpose)
        if participant and not any(admission.admits(participant, scope=scope) for scope in RECORD_SCOPES):
            raise InputRefused(
                Problem(
                    file="participants",
                    place=participant if pseudonyms.is_valid(participant, "P") else "",
                    expected="a participant with consent to this use in force",
                    found="a withdrawal, or a consent that was refused, has ended or does not cover the purpose",
                    action="leave the participant out",
                )
            )
        shown = participant if pseudonyms.is_valid(participant, "P") else str(self.snapshot.number)
        purpose = audit_purpose(self.purpose)
        root = self.workspace.root
        audit.record_use(root, action="records.query", object=shown, purpose=purpose, question=question)
        return admission

    def _admits_code(self, admission: RecordAdmission, participant: str, code: str) -> bool:
        from baekman.records.dictionary import read_dictionary

        entry = read_dictionary(self.store.dictionary).entry(code)
        scopes = [entry.scope] if entry is not None else RECORD_SCOPES
        return all(admission.admits(participant, scope=scope) for scope in scopes)
