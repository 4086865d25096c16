"""Registration tables as a whole: checked in one pass, then read participant by participant.

The rows of each participant and specimen are found by a database on disk, which has no name and ends with the
process. It holds a hash under a random key, the file, row and offset of each row, and no value. So memory does not
grow with the tables.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path

from baekman.errors import InputRefused, Problem, ProblemList
from baekman.files.delimited import DelimitedTable
from baekman.registry.registration import RegistrationRow, header_problems
from baekman.registry.row_parser import RowParser

# rows of one participant; with more, the column holds something else
MOST_ROWS = 5_000
_CACHE_KIB = 32 << 10
_ROWS_PER_WRITE = 10_000
# such rows need not be neighbours; each is reported with the first row of the specimen
_REPEATED_SPECIMENS = """
    SELECT later.file, later.row, earlier.file, earlier.row
    FROM (
        SELECT specimen, min(number) AS first FROM rows
        GROUP BY specimen HAVING min(participant) <> max(participant)
    ) AS repeated
    JOIN rows AS later ON later.specimen = repeated.specimen
    JOIN rows AS earlier ON earlier.number = repeated.first
    WHERE later.participant <> earlier.participant
    ORDER BY later.number
"""
_LONG_PARTICIPANTS = """
    SELECT file, row, count FROM (
        SELECT min(number) AS first, count(*) AS count FROM rows GROUP BY participant HAVING count(*) > ?
    ) JOIN rows ON number = first ORDER BY number
"""
# a participant stands at the place of their first row
_BY_PARTICIPANT = """
    SELECT first, number, file, row, offset FROM (
        SELECT number, file, row, offset, min(number) OVER (PARTITION BY participant) AS first FROM rows
    ) ORDER BY first, number
"""
_ASIDE = "SELECT identifier, number, file, row, offset FROM aside JOIN rows USING (number) ORDER BY number"


class RegistrationFiles:
    """The well-formed rows of registration tables; made by ``open_registrations``."""

    def __init__(self, tables: Sequence[DelimitedTable], database: sqlite3.Connection) -> None:
        self._tables = tables
        self._parsers = [RowParser(table.file, table.header, source_hash=table.sha256) for table in tables]
        self._database = database
        self.count: int = database.execute("SELECT count(*) FROM rows").fetchone()[0]

    def parts(self, size: int) -> Iterator[list[RegistrationRow]]:
        """Yield the rows in parts of ``size`` and the further rows of the part's last participant.

        All rows of a participant come in one part, one after the other, at the place of the first of them.
        """
        part: list[RegistrationRow] = []
        last = None
        for first, *place in self._database.execute(_BY_PARTICIPANT):
            if len(part) >= size and first != last:
                yield part
                part = []
            last = first
            part.append(self._row_at(*place))
        if part:
            yield part
        for table in self._tables:
            table.require_unchanged()

    def _row_at(self, number: int, file: int, row: int, offset: int) -> RegistrationRow:
        table = self._tables[file]
        try:
            parsed = self._parsers[file].parse(row, fields=table.fields_at(offset))
        except InputRefused:
            raise table.changed() from None
        parsed.number = number
        return parsed

    def set_aside(self, rows: Iterable[tuple[str, RegistrationRow]]) -> None:
        """Note on disk that these rows are needed again, each with an identifier."""
        self._database.executemany("INSERT INTO aside VALUES (?, ?)", ((name, row.number) for name, row in rows))

    def rows_set_aside(self) -> Iterator[tuple[str, RegistrationRow]]:
        """Yield the identifiers and rows that were set aside, in the order of the tables."""
        for identifier, *place in self._database.execute(_ASIDE):
            yield identifier, self._row_at(*place)


@contextmanager
def open_registrations(files: Sequence[Path]) -> Iterator[RegistrationFiles]:
    """Yield the rows of ``files``; InputRefused with the problems of all of them."""
    problems = ProblemList()
    with ExitStack() as stack:
        database = stack.enter_context(closing(sqlite3.connect("", isolation_level=None)))
        index = _RowIndex(database)
        tables = []
        for number, file in enumerate(files):
            in_file = ProblemList()
            try:
                table = stack.enter_context(DelimitedTable(file))
                tables.append(table)
                _check_rows(number, table, index, in_file)
            except InputRefused as refused:
                # the file is no table: problems in its rows mean nothing
                in_file = ProblemList()
                in_file.note(*refused.problems, at=(number, 0))
            if in_file:
                index.forget(number)
                problems.extend(in_file)
        index.finish()
        _note_repeated_specimens(problems, database, files)
        _note_long_participants(problems, database, files)
        if problems:
            raise problems.refusal(file="registration tables")
        yield RegistrationFiles(tables, database)


class _RowIndex:
    """The writer of the database that finds the rows of a participant or specimen."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._key = secrets.token_bytes(32)
        self._number = 0
        self._waiting: list[tuple[int, int, int, int, bytes, bytes]] = []
        for statement in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "CREATE TABLE rows (number INTEGER PRIMARY KEY, file INTEGER, row INTEGER, offset INTEGER,"
            " participant BLOB, specimen BLOB)",
            "CREATE TABLE aside (identifier TEXT, number INTEGER)",
            "BEGIN",
        ):
            database.execute(statement)

    def add(self, file: int, offset: int, row: RegistrationRow) -> None:
        """Add a row of the file with the number ``file``, at ``offset`` in bytes."""
        self._number += 1
        participant = self._hash(row.institution, row.subject_code)
        specimen = self._hash(row.institution, row.barcode)
        self._waiting.append((self._number, file, row.row, offset, participant, specimen))
        if len(self._waiting) == _ROWS_PER_WRITE:
            self._write()

    def _hash(self, institution: str, label: str) -> bytes:
        # the length separates the two
        text = f"{len(institution)} {institution}{label}"
        return blake2b(text.encode(), digest_size=16, key=self._key).digest()

    def _write(self) -> None:
        self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    def forget(self, file: int) -> None:
        """Forget the rows of a file: it has problems, and none of its rows is used."""
        self._write()
        self._database.execute("DELETE FROM rows WHERE file = ?", (file,))

    def finish(self) -> None:
        """Write the last rows and the indexes."""
        self._write()
        self._database.execute("CREATE INDEX by_specimen ON rows (specimen, participant)")
        self._database.execute("CREATE INDEX by_participant ON rows (participant)")
        self._database.execute("COMMIT")


def _check_rows(number: int, table: DelimitedTable, index: _RowIndex, problems: ProblemList) -> None:
    """Index the rows of a table and note their problems; InputRefused when it is no table to its end."""
    in_header = header_problems(table.file.name, header=table.header)
    problems.note(*in_header, at=(number, 1))
    parser = RowParser(table.file, table.header, source_hash=table.sha256)
    for row, offset, fields in table.records():
        if in_header:
            continue
        try:
            parsed = parser.parse(row, fields=fields)
        except InputRefused as refused:
            problems.note(*refused.problems, at=(number, row))
        else:
            if not problems:
                index.add(number, offset, parsed)


def _note_repeated_specimens(problems: ProblemList, database: sqlite3.Connection, files: Sequence[Path]) -> None:
    """Note each specimen that two participants have: within the files as in the registry, it belongs to one."""
    for file, row, earlier_file, earlier_row in database.execute(_REPEATED_SPECIMENS):
        problem = Problem(
            file=files[file].name,
            place=f"row {row}, column specimen_id",
            expected="a specimen of one participant",
            found=f"the specimen of another participant in row {earlier_row} of {files[earlier_file].name}",
            action="give each specimen a barcode of its own",
        )
        # after the problems of single rows
        problems.note(problem, at=(len(files), file, row))


def _note_long_participants(problems: ProblemList, database: sqlite3.Connection, files: Sequence[Path]) -> None:
    for file, row, count in database.execute(_LONG_PARTICIPANTS, (MOST_ROWS,)):
        problem = Problem(
            file=files[file].name,
            place=f"row {row}, column participant",
            expected=f"at most {MOST_ROWS} rows of one participant",
            found=f"{count}",
            action="give each participant a subject code of their own",
        )
        problems.note(problem, at=(len(files) + 1, file, row))
