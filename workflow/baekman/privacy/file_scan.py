"""The scan of one file for identifiers: its bytes, its name, and its content opened by its kind.

The kind shows in the first bytes: gzip and BGZF (BAM, BCF, VCF), CRAM, Parquet, Arrow, SQLite, zip, tar, xz, bzip2 and
zstd; and gzip in base64 inside HTML. The content is scanned in the same way, to a fixed depth. Memory is bounded: data
passes in windows that overlap by the longest pattern.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import sqlite3
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from baekman.privacy.leak_formats import EmbeddedGzip, chunks, flat, gunzip, prepended, rows, sqlite_row
from baekman.privacy.leak_patterns import DERIVED_FROM, Matcher
from baekman.tools import programs

WINDOW = 4 << 20
MAX_DEPTH = 4
MAX_UNPACKED = 4 << 30
# exceptions of readers of damaged or encrypted files (ArrowInvalid is a ValueError, other errors of Arrow are not)
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    sqlite3.Error,
    tarfile.TarError,
    zipfile.BadZipFile,
    pa.ArrowException,
)


@dataclass(frozen=True, order=True)
class Leak:
    """One form of one identifier in one file.

    Attributes:
        file: The path as reports show it.
        where: The place inside the file.
        place: The identifier's place in the list.
        encoding: Name of the form.
        offset: Offset of the first match in bytes, 0-based.
        count: Number of matches.
    """

    file: str
    where: str
    place: str
    encoding: str
    offset: int
    count: int = field(compare=False, default=1)


@dataclass
class Scan:
    """The result of a scan.

    Attributes:
        leaks: The identifiers in the files.
        unread: (file, reason) of each file that could not be opened.
        damaged: (file, reason) of each file that was read only in part.
        files: Number of files.
    """

    leaks: list[Leak] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0


class FileScan:
    """The scan of one file or folder; messages name it ``shown``."""

    def __init__(self, path: Path, *, shown: str, matcher: Matcher, result: Scan) -> None:
        self.path = path
        self.matcher = matcher
        self.result = result
        self.shown = shown
        self.matches: dict[tuple[str, str, str], tuple[int, int]] = {}

    def run(self) -> None:
        """Scan name, target of a link, attributes and content; add to the result."""
        self.text(os.fsencode(self.path.name), "name")
        try:
            status = self.path.lstat()
            if stat.S_ISLNK(status.st_mode):
                self.text(os.fsencode(self.path.readlink()), "target of the link")
            else:
                for name in os.listxattr(self.path):
                    self.text(os.fsencode(name) + b"\n" + os.getxattr(self.path, name), "attribute")
            if stat.S_ISREG(status.st_mode):
                self.result.files += 1
                with self.path.open("rb") as opened:
                    self.content(opened, "", 0, self.path)
            elif stat.S_ISDIR(status.st_mode):
                os.scandir(self.path).close()
        except OSError as failure:
            self.result.unread.append((self.shown, type(failure).__name__))
        self.result.leaks += [
            Leak(self.shown, where, place, encoding, offset, count)
            for (where, place, encoding), (offset, count) in self.matches.items()
        ]

    def _note(self, where: str, place: str, encoding: str, offset: int) -> None:
        first, count = self.matches.get((where, place, encoding), (offset, 0))
        self.matches[where, place, encoding] = (min(first, offset), count + 1)

    def _damage(self, where: str, failure: BaseException) -> None:
        self.result.damaged.append((self.shown, f"{where or 'content'}: {type(failure).__name__}"))

    def text(self, data: bytes, where: str) -> None:
        """Scan ``data``, which is short."""
        for offset, pattern in self.matcher.find(data):
            self._note(where, pattern.place, pattern.encoding, offset)

    def stream(self, data_in_order: Iterable[bytes], where: str, *, compressed: bool = False) -> None:
        """Scan consecutive chunks; count each match once, also across a border.

        ``compressed``: skip short patterns, which chance makes in such bytes.
        """
        overlap = self.matcher.longest + 1
        parts, length, base = [b""], 0, 0
        for chunk in data_in_order:
            parts.append(chunk)
            length += len(chunk)
            if length < WINDOW:
                continue
            data = b"".join(parts)
            limit = len(data) - overlap
            self._window(data, base, where, limit, compressed)
            # a match may depend on the three bytes before it (_BAM_TEXT_TAG)
            kept = limit - 3
            base += kept
            parts, length = [data[kept:]], len(data) - kept
        data = b"".join(parts)
        self._window(data, base, where, len(data), compressed)

    def _window(self, data: bytes, base: int, where: str, limit: int, compressed: bool) -> None:
        for offset, pattern in self.matcher.find(data):
            if compressed and len(pattern.data) < DERIVED_FROM:
                continue
            # the first three bytes of a later window were in the window before it
            if (3 if base else 0) <= offset < limit:
                self._note(where, pattern.place, pattern.encoding, base + offset)

    def content(self, opened: IO[bytes], where: str, depth: int, path: Path | None) -> None:
        """Scan the bytes of ``opened``, then its content by its kind; ``path`` is None inside another file."""
        start = opened.read(512)
        opener = _kind(start)
        embedded = EmbeddedGzip()
        raw = chunks(opened, start)
        self.stream(embedded.watch(raw), where or "content", compressed=opener is not None)
        if depth >= MAX_DEPTH:
            if opener is not None:
                self.result.damaged.append((self.shown, f"{where}: nested deeper than {MAX_DEPTH}"))
            return
        for number, blob in enumerate(embedded.blobs, 1):
            self.content(io.BytesIO(blob), _inside(where, f"base64 {number}"), depth + 1, None)
        if opener is None:
            return
        try:
            if path is None:
                # some formats are read at random places, so they need a file; nobody else can read its folder
                with tempfile.TemporaryDirectory() as folder:
                    copy = Path(folder) / "content"
                    opened.seek(0)
                    with copy.open("wb") as output:
                        for chunk in chunks(opened, b""):
                            output.write(chunk)
                    opener(self, copy, where, depth)
            else:
                opener(self, path, where, depth)
        except _DAMAGE as failure:
            self._damage(where, failure)

    # -- the kinds of files

    def gzip(self, path: Path, where: str, depth: int) -> None:
        """Scan the content of a gzip and BGZF file."""
        with path.open("rb") as opened:
            self.nested(gunzip(opened), _inside(where, "gzip"), depth)

    def bzip2(self, path: Path, where: str, depth: int) -> None:
        """Scan the content of a bzip2 file."""
        with bz2.open(path) as opened:
            self.nested(chunks(opened, b""), _inside(where, "bzip2"), depth)

    def xz(self, path: Path, where: str, depth: int) -> None:
        """Scan the content of a xz file."""
        with lzma.open(path) as opened:
            self.nested(chunks(opened, b""), _inside(where, "xz"), depth)

    def zstd(self, path: Path, where: str, depth: int) -> None:
        """Scan the content of a zstd file."""
        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as opened:
            self.nested(chunks(opened, b""), _inside(where, "zstd"), depth)

    def nested(self, unpacked: Iterator[bytes], where: str, depth: int) -> None:
        """Scan decompressed data; another kind inside it is unpacked to a temporary file first."""
        first = next(unpacked, b"")
        if _kind(first[:512]) is None:
            embedded = EmbeddedGzip()
            self.stream(embedded.watch(prepended(first, unpacked)), where)
            for number, blob in enumerate(embedded.blobs, 1):
                self.content(io.BytesIO(blob), _inside(where, f"base64 {number}"), depth + 1, None)
            return
        with tempfile.TemporaryFile() as file:
            try:
                for chunk in prepended(first, unpacked):
                    file.write(chunk)
                    if file.tell() > MAX_UNPACKED:
                        raise ValueError
            finally:
                file.seek(0)
                self.content(file, where, depth + 1, None)

    def zip(self, path: Path, where: str, depth: int) -> None:
        """Scan names, comments and contents of the members of a zip file."""
        with zipfile.ZipFile(path) as archive:
            for number, member in enumerate(archive.infolist(), 1):
                inside = _inside(where, f"zip member {number}")
                self.text(member.filename.encode() + b"\n" + member.comment, f"{inside} name")
                with archive.open(member) as opened:
                    self.content(opened, inside, depth + 1, None)

    def tar(self, path: Path, where: str, depth: int) -> None:
        """Scan names, links, owners and contents of the members of a tar file."""
        with tarfile.open(path, "r:") as archive:
            for number, member in enumerate(archive, 1):
                inside = _inside(where, f"tar member {number}")
                names = (member.name, member.linkname, member.uname, member.gname)
                self.text("\n".join(names).encode("utf-8", "surrogateescape"), f"{inside} name")
                opened = archive.extractfile(member) if member.isreg() else None
                if opened is not None:
                    self.content(opened, inside, depth + 1, None)

    def cram(self, path: Path, where: str, depth: int) -> None:
        """Scan header, names and tags of a CRAM, by samtools; without bases, so without the reference."""
        fields = "required_fields=0x801"  # QNAME, AUX
        arguments = ["view", "-h", "--input-fmt-option", fields, "--input-fmt-option", "decode_md=0", str(path)]
        process = subprocess.Popen(
            [*programs.command("samtools"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        with process.stdout:
            self.stream(chunks(process.stdout, b""), _inside(where, "cram"))
        if process.wait() != 0:
            raise ValueError

    def parquet(self, path: Path, where: str, depth: int) -> None:
        """Scan metadata, column names and values of a Parquet file."""
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            names = str(file.schema_arrow).encode()
            self.text(b"\n".join([names, *metadata, *metadata.values()]), _inside(where, "parquet metadata"))
            for batch in file.iter_batches(batch_size=65536):
                self.columns(batch, _inside(where, "parquet"))

    def encrypted(self, path: Path, where: str, depth: int) -> None:
        """Report a file that cannot be read without its key."""
        self.result.damaged.append((self.shown, f"{where or 'content'}: encrypted"))

    def arrow(self, path: Path, where: str, depth: int) -> None:
        """Scan the batches of an Arrow file."""
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                self.columns(file.get_batch(number), _inside(where, "arrow"))

    def columns(self, batch: pa.RecordBatch, where: str) -> None:
        """Scan the names and values of the columns of a batch."""
        for number, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True), 1):
            inside = f"{where} column {number}"
            self.text(name.encode(), f"{inside} name")
            for values in flat(column):
                self.stream(rows(values), inside)

    def sqlite(self, path: Path, where: str, depth: int) -> None:
        """Scan the rows of all tables of an SQLite file."""
        with sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True) as connection:
            connection.text_factory = bytes
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for number, (table,) in enumerate(tables, 1):
                name = table.decode().replace('"', '""')
                records = connection.execute(f'SELECT * FROM "{name}"')
                self.stream((sqlite_row(record) for record in records), _inside(where, f"sqlite table {number}"))
        connection.close()


_Opener = Callable[[FileScan, Path, str, int], None]
_KINDS: tuple[tuple[int, bytes, _Opener], ...] = (
    (0, b"\x1f\x8b", FileScan.gzip),
    (0, b"CRAM", FileScan.cram),
    (0, b"PAR1", FileScan.parquet),
    (0, b"PARE", FileScan.encrypted),
    (0, b"crypt4gh", FileScan.encrypted),
    (0, b"ARROW1", FileScan.arrow),
    (0, b"SQLite format 3\0", FileScan.sqlite),
    (0, b"PK\x03\x04", FileScan.zip),
    (0, b"BZh", FileScan.bzip2),
    (0, b"\xfd7zXZ\0", FileScan.xz),
    (0, b"\x28\xb5\x2f\xfd", FileScan.zstd),
    (257, b"ustar", FileScan.tar),
)


def _kind(start: bytes) -> _Opener | None:
    return next((opener for at, magic, opener in _KINDS if start[at:].startswith(magic)), None)


def _inside(where: str, kind: str) -> str:
    return f"{where} > {kind}" if where else kind
