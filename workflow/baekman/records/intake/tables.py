"""The delivered tables: opened as files of a stranger, checked, and read as record batches of text.

Messages name a file by its number in the order of names, since its name is the institution's.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from baekman.columns import TextColumn
from baekman.errors import InputRefused, Problem
from baekman.files.untrusted import FileFault, NoPermission, open_inside
from baekman.intake.delivery import GIVE_ACCESS
from baekman.records.intake.sheet import RecordsSheet

_TIME = "`YYYY-MM-DD`, `YYYYMMDD`, or a date with `HH:MM`, `HH:MM:SS` (a `T` or a blank between)"
_SUBJECT = TextColumn("subject_code", "text", "The institution's code of the subject, as registered.", True)
EVENTS_FILE = (
    _SUBJECT,
    TextColumn("time", _TIME, "Local time of the fact.", True),
    TextColumn("end", "as `time`, or empty", "End of a stay or a prescription."),
    TextColumn("code", "`SYSTEM/CODE`", "A code of the dictionary.", True),
    TextColumn("value", "number", "The number of a code of the kind `number`."),
    TextColumn("unit", "text, or empty", "Unit of the value; empty: that of the dictionary."),
    TextColumn("category", "text", "The category of a code of the kind `category`; it may stand in `value` too."),
    TextColumn("episode", "text, or empty", "Your name of the visit or claim that rows belong to."),
)
COVERAGE_FILE = (
    _SUBJECT,
    TextColumn("first", "a day, as in `time`", "First day that the source has seen.", True),
    TextColumn("last", "a day, as in `time`", "Last day that the source has seen, inclusive.", True),
)
EVENT_COLUMNS = tuple(column.name for column in EVENTS_FILE)
COVERAGE_COLUMNS = tuple(column.name for column in COVERAGE_FILE)
OPTIONAL = frozenset({"end", "value", "unit", "category", "episode"})
BLOCK = 1 << 20
CSV_BLOCK = 4 << 20  # bytes; also the longest row
ROWS = 1 << 16
MOST_PROBLEMS = 20
_ENCODING_NAMES = {"utf-8": "UTF-8", "cp949": "CP949"}


def text_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of ``columns`` as delivered text."""
    return pa.schema([pa.field(name, pa.string()) for name in columns])


@dataclass(frozen=True, kw_only=True)
class DeliveredTable:
    """A delivered file with the ``columns`` of events or of coverage; ``number`` names it in messages."""

    sheet: RecordsSheet
    name: str
    number: int
    columns: tuple[str, ...]
    is_parquet: bool
    state: dict[str, object] = field(default_factory=dict)  # filled by ``check``: fingerprint, header, delimiter

    def check(self) -> str:
        """Return the SHA-256 (hex) of the file; InputRefused when it is no table with these columns."""
        with self._opened() as opened:
            self.state["fingerprint"] = _fingerprint(opened)
            digest = self._digest(opened)
            if self.sheet.format == "omop":
                return digest
            opened.seek(0)
            header = self._parquet_header(opened) if self.is_parquet else self._csv_header(opened)
        if problems := list(self._header_problems(header)):
            raise InputRefused(problems)
        self.state["header"] = header
        return digest

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows as ``columns`` of text; an absent column is null.

        InputRefused when a row has another number of fields than the header, or the file has changed since ``check``.
        """
        present = [name for name in columns if name in self._header]
        with self._opened() as opened:
            for batch in self._read(opened, present):
                arrays = [
                    self._text(batch.column(present.index(name)), name)
                    if name in present
                    else pa.nulls(len(batch), pa.string())
                    for name in columns
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=text_schema(columns))
            if _fingerprint(opened) != self.state["fingerprint"]:
                raise self._refused("a file that nobody writes to while it is read", "another one", "do it again")

    @property
    def _header(self) -> Sequence[str]:
        header: Sequence[str] = self.state["header"]  # type: ignore[assignment]
        return header

    def _read(self, opened: BinaryIO, present: list[str]) -> Iterator[pa.RecordBatch]:
        rows: list[tuple[int | None, int]] = []
        try:
            reader: Iterable[pa.RecordBatch]
            if self.is_parquet:
                reader = pq.ParquetFile(opened).iter_batches(ROWS, columns=present)
            else:
                reader = self._csv_reader(opened, present, rows)
            for batch in reader:
                if self.is_parquet:
                    batch.validate(full=True)  # texts of other bytes than UTF-8
                elif self.state.get("is_quoted") and _has_line_end(batch):
                    self._require_closed_quotes()
                    self.state["is_quoted"] = False
                yield batch.select(present)
        except (pa.ArrowException, OSError, ValueError):
            raise self._refused("a table that can be read to its end", "malformed data", "export it again") from None
        if rows:
            raise InputRefused(self._row_problems(rows))

    def _csv_reader(
        self, opened: BinaryIO, present: list[str], rows: list[tuple[int | None, int]]
    ) -> Iterable[pa.RecordBatch]:
        def note(row: pacsv.InvalidRow) -> str:
            rows.append((row.number, row.actual_columns))
            return "skip"

        delimiter = str(self.state["delimiter"])
        reader: Iterable[pa.RecordBatch] = pacsv.open_csv(
            opened,
            read_options=pacsv.ReadOptions(use_threads=False, block_size=CSV_BLOCK, encoding=self.sheet.encoding),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=note),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(self._header, pa.string()),
                include_columns=present,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        return reader

    def _require_closed_quotes(self) -> None:
        """Raise InputRefused where a lone quote makes one field of several rows: they would be lost in it."""
        with io.BufferedReader(self._opened()) as opened:  # type: ignore[type-var]
            text = io.TextIOWrapper(opened, self.sheet.encoding, newline="")
            delimiter, row = str(self.state["delimiter"]), 1
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            try:
                for fields in reader:
                    lines = (line for field in fields if "\n" in field for line in field.split("\n"))
                    if any(line.count(delimiter) >= len(self._header) - 1 for line in lines):
                        raise csv.Error("a field with a whole row in it")
                    row = reader.line_num + 1
            except csv.Error:
                problem = Problem(
                    file=self.label,
                    place=f"row {row}",
                    expected='fields in quotes that end in their row, with "" for a quote inside',
                    found="a lone quote",
                    action="export the table again",
                )
                raise InputRefused(problem) from None

    def _row_problems(self, rows: list[tuple[int | None, int]]) -> Iterator[Problem]:
        expected = f"{len(self._header)} fields, as in the header"
        for number, count in rows[:MOST_PROBLEMS]:
            place = f"row {number}" if number else "a row"
            yield Problem(file=self.label, place=place, expected=expected, found=str(count))
        if (more := len(rows) - MOST_PROBLEMS) > 0:
            yield Problem(file=self.label, expected=expected, found=f"another number in {more} more rows")

    @property
    def is_binary(self) -> bool:
        """Return whether the file is no text that is checked here."""
        return self.is_parquet or self.sheet.format == "omop"

    @property
    def label(self) -> str:
        """Return the name of the file in messages."""
        return f"file {self.number}" if self.columns == EVENT_COLUMNS else "coverage file"

    def _opened(self) -> BinaryIO:
        try:
            return open_inside(self.sheet.folder, self.name)
        except FileFault as fault:
            action = GIVE_ACCESS if isinstance(fault, NoPermission) else ""
            raise self._refused("a plain file in the delivery's folder", str(fault), action) from None

    def _digest(self, opened: BinaryIO) -> str:
        """Return the SHA-256 (hex); refuse bytes that no text of the encoding has."""
        digest = hashlib.sha256()
        decoder = codecs.getincrementaldecoder(self.sheet.encoding)()
        begun = 0  # bytes before the block
        while block := opened.read(BLOCK):
            digest.update(block)
            if self.is_binary:
                continue
            if not begun and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise self._refused(_ENCODING_NAMES[self.sheet.encoding], "UTF-16", "save the table as UTF-8")
            self.state["is_quoted"] = self.state.get("is_quoted") or b'"' in block
            if b"\0" in block:
                row = _row_of(opened, begun + block.index(b"\0"))
                raise self._refused("text", f"a NUL character in row {row}", "export the table again")
            try:
                # plain ASCII after a whole character needs no decoder
                if not (block.isascii() and decoder.getstate()[0] == b""):
                    decoder.decode(block)
            except UnicodeDecodeError as fault:
                place = begun + len(block) - len(fault.object) + fault.start  # the object begins with bytes kept back
                raise self._other_bytes(_row_of(opened, place)) from None
            begun += len(block)
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            if not self.is_binary:
                raise self._other_bytes(_row_of(opened, begun)) from None
        return digest.hexdigest()

    def _other_bytes(self, row: int) -> InputRefused:
        is_utf8 = self.sheet.encoding == "utf-8"
        action = "save the table as UTF-8, or write `encoding: cp949` in records.yaml if it is CP949 or EUC-KR"
        return self._refused(
            _ENCODING_NAMES[self.sheet.encoding], f"other bytes in row {row}", action if is_utf8 else "export it again"
        )

    def _csv_header(self, opened: BinaryIO) -> list[str]:
        encoding = "utf-8-sig" if self.sheet.encoding == "utf-8" else self.sheet.encoding
        # a lone carriage return is the line end of older programs on a Mac
        line = opened.read(BLOCK).replace(b"\r", b"\n").split(b"\n", 1)[0].decode(encoding, "replace")
        if ";" in line and not {",", "\t"} & set(line):
            raise self._refused("fields separated by commas or tabs", "semicolons", "export the table again")
        self.state["delimiter"] = "\t" if "\t" in line else ","
        try:
            names = next(csv.reader([line], delimiter=str(self.state["delimiter"]), strict=True), [])
        except csv.Error:
            names = []
        return names

    def _parquet_header(self, opened: BinaryIO) -> list[str]:
        try:
            schema = pq.ParquetFile(opened).schema_arrow
        except (pa.ArrowException, OSError, ValueError):
            raise self._refused("a Parquet file", "something else", "export it again") from None
        names = list(schema.names)
        if problems := [
            Problem(
                file=self.label,
                place=f"column {column.name}",
                expected="text, numbers, or dates and times without a zone",
                found="another type",
                action="convert the column before export",
            )
            for column in schema
            if column.name in self.columns and not _is_plain(column.type)
        ]:
            raise InputRefused(problems)
        return names

    def _header_problems(self, header: list[str]) -> Iterator[Problem]:
        place = "header"
        for name in self.columns:
            count = header.count(name)
            if count > 1 or (not count and name not in OPTIONAL):
                found = f"{count} of them" if count else "none"
                yield Problem(file=self.label, place=place, expected=f"the column {name}", found=found)
        if others := sum(name not in self.columns for name in header):
            yield Problem(
                file=self.label,
                place=place,
                expected=f"the columns {' '.join(self.columns)}",
                found=f"{others} other column{'s' if others > 1 else ''}",
                action="leave them out: there is no column of free text",
            )

    def _text(self, column: pa.Array, name: str) -> pa.Array:
        """Return a column as text; refuse numbers in a column of labels that have lost digits."""
        import pyarrow.compute as pc

        if column.type == pa.string():
            return column
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_floating(kind) and name not in ("value", "time", "end"):
            # above it, two whole numbers share a float: the label of one person would be that of another
            limit = float(1 << {16: 11, 32: 24}.get(kind.bit_width, 53))
            if pc.any(pc.greater_equal(pc.abs(column.cast(pa.float64())), limit)).as_py():
                problem = Problem(
                    file=self.label,
                    place=f"column {name}",
                    expected="text, or whole numbers",
                    found="floating-point numbers that have lost digits",
                    action="convert the column to text before export",
                )
                raise InputRefused(problem)
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pa.timestamp("us"), safe=False)  # the text of a time has at most microseconds
        return column.cast(pa.string())

    def _refused(self, expected: str, found: str, action: str = "") -> InputRefused:
        return InputRefused(Problem(file=self.label, expected=expected, found=found, action=action))


@dataclass(frozen=True, kw_only=True)
class DeliveredTables:
    """The tables of a delivery: those of events, and that of coverage or None. ``digest`` is of the whole content.

    For OMOP the tables are files of any columns, which only their own reader reads.
    """

    events: tuple[DeliveredTable, ...]
    coverage: DeliveredTable | None
    digest: str

    def event_batches(self, columns: Sequence[str] = EVENT_COLUMNS) -> Iterator[pa.RecordBatch]:
        """Yield all rows of events as ``columns`` of text."""
        return (batch for table in self.events for batch in table.batches(columns))

    def coverage_batches(self, columns: Sequence[str] = COVERAGE_COLUMNS) -> Iterator[pa.RecordBatch]:
        """Yield all rows of coverage as ``columns`` of text; without a coverage file there are none."""
        return self.coverage.batches(columns) if self.coverage else iter(())


def open_tables(sheet: RecordsSheet) -> DeliveredTables:
    """Return the tables that ``sheet`` names, each read once from beginning to end.

    InputRefused for files that may not be read or are no such tables, with every fault of every header at once.
    """
    events = tuple(_table(sheet, name, number, EVENT_COLUMNS) for number, name in enumerate(sheet.files, start=1))
    coverage = _table(sheet, sheet.coverage, 0, COVERAGE_COLUMNS) if sheet.coverage else None
    digest, problems = hashlib.sha256(), []
    for table in (*events, coverage):
        if table is not None:
            try:
                digest.update(f"{table.label} {table.check()}\n".encode())
            except InputRefused as refused:
                problems += refused.problems
    if problems:
        raise InputRefused(problems)
    stated = (sheet.source, sheet.as_of, sheet.first, sheet.last)
    digest.update(" ".join(str(value) for value in stated).encode())
    return DeliveredTables(events=events, coverage=coverage, digest=digest.hexdigest())


def _table(sheet: RecordsSheet, name: str, number: int, columns: tuple[str, ...]) -> DeliveredTable:
    is_parquet = name.lower().endswith(".parquet")
    return DeliveredTable(sheet=sheet, name=name, number=number, columns=columns, is_parquet=is_parquet)


def _row_of(opened: BinaryIO, place: int) -> int:
    """Return the row, from 1, of the byte at ``place``."""
    opened.seek(0)
    row = 1
    while place > 0 and (block := opened.read(min(BLOCK, place))):
        row += block.count(b"\n")
        place -= len(block)
    return row


def _has_line_end(batch: pa.RecordBatch) -> bool:
    """Return whether a field of the texts in ``batch`` goes on in another line."""
    texts = (column.buffers()[-1] for column in batch.columns)
    return any(text is not None and b"\n" in text.to_pybytes() for text in texts)


def _fingerprint(opened: BinaryIO) -> tuple[int, int, int]:
    status = os.fstat(opened.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_timestamp(kind):
        return kind.tz is None
    kinds = pa.types
    is_text = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind) or kinds.is_null(kind)
    is_number = kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind)
    return bool(is_text or is_number or kinds.is_date(kind))
