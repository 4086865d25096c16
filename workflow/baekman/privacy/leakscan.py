"""The leak scan: do identifiers of persons stand anywhere under a path?

Every file is read as it is, and, by its first bytes, opened: gzip and BGZF (BAM, BCF and VCF so), CRAM,
Parquet and Arrow, SQLite, zip, tar, xz, bzip2, zstd, and gzip in base64 inside HTML. What
is inside is scanned in the same way, to a fixed depth. Names of files and folders, targets of symbolic links and
extended attributes are scanned too. Memory is bounded: data goes by in windows that overlap by the longest
pattern.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from baekman.privacy.leak_formats import EmbeddedGzip, chunks, flat, gunzip, prepended, rows, sqlite_row
from baekman.privacy.leak_patterns import DERIVED_FROM, Matcher
from baekman.tools import programs as tools

WINDOW = 4 << 20
MAX_DEPTH = 4
MAX_UNPACKED = 4 << 30
# what readers raise on damaged or encrypted files (ArrowInvalid is a ValueError, ArrowException a base of
# others)
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
    """One form of one identifier: ``place`` is that in the list, ``where`` that inside ``file``."""

    file: str
    where: str
    place: str
    encoding: str
    offset: int
    count: int = field(compare=False, default=1)


@dataclass
class Scan:
    """What a scan found, and what it could not look into: (file, why)."""

    leaks: list[Leak] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0


def scan(
    paths: Sequence[Path],
    *,
    matcher: Matcher,
    exclude: Sequence[Path] = (),
    seen: Callable[[Path], None] = lambda path: None,
) -> Scan:
    """Scan every file under ``paths`` but ``exclude``; ``seen`` is called with each, for a progress display.

    ``unread`` are files that could not be opened, ``damaged`` those read only in part (a truncated gzip …).
    """
    result = Scan()
    left_out = {path.absolute() for path in exclude}
    for root in paths:
        for path in _walk(root, left_out):
            seen(path)
            _FileScan(path, root, matcher, result).run()
    result.leaks.sort()
    return result


def _walk(root: Path, left_out: set[Path]) -> Iterator[Path]:
    """``root`` and everything under it, sorted, symbolic links not followed."""
    if root.absolute() in left_out:
        return
    yield root
    if root.is_dir() and not root.is_symlink():
        try:
            entries = sorted(root.iterdir())
        except OSError:
            return
        for entry in entries:
            yield from _walk(entry, left_out)


class _FileScan:
    """The scan of one file."""

    def __init__(self, path: Path, root: Path, matcher: Matcher, result: Scan) -> None:
        self.path = path
        self.matcher = matcher
        self.result = result
        self.shown = _shown(path, root, matcher)
        self.found: dict[tuple[str, str, str], tuple[int, int]] = {}

    def run(self) -> None:
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
            for (where, place, encoding), (offset, count) in self.found.items()
        ]

    def note(self, where: str, place: str, encoding: str, offset: int) -> None:
        first, count = self.found.get((where, place, encoding), (offset, 0))
        self.found[where, place, encoding] = (min(first, offset), count + 1)

    def damage(self, where: str, failure: BaseException) -> None:
        self.result.damaged.append((self.shown, f"{where or 'content'}: {type(failure).__name__}"))

    def text(self, data: bytes, where: str) -> None:
        for offset, pattern in self.matcher.find(data):
            self.note(where, pattern.place, pattern.encoding, offset)

    def stream(self, data_in_order: Iterable[bytes], where: str, *, compressed: bool = False) -> None:
        """Scan chunks that follow one another; a pattern across their borders is found too, and each once.

        In ``compressed`` bytes short patterns are not looked for: chance makes them there.
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
            # BAM_TEXT_TAG looks three bytes back
            kept = limit - 3
            base += kept
            parts, length = [data[kept:]], len(data) - kept
        data = b"".join(parts)
        self._window(data, base, where, len(data), compressed)

    def _window(self, data: bytes, base: int, where: str, limit: int, compressed: bool) -> None:
        for offset, pattern in self.matcher.find(data):
            if compressed and len(pattern.data) < DERIVED_FROM:
                continue
            # the first three bytes of a later window were in the one before
            if (3 if base else 0) <= offset < limit:
                self.note(where, pattern.place, pattern.encoding, base + offset)

    def content(self, opened: IO[bytes], where: str, depth: int, path: Path | None) -> None:
        """Scan ``opened`` as it is and opened by its kind.

        ``path`` is where it lies, if it is a file of its own.
        """
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
                # formats that are read at random places need a file; its folder is nobody else's
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
            self.damage(where, failure)

    # -- what opens each kind

    def gzip(self, path: Path, where: str, depth: int) -> None:
        with path.open("rb") as opened:
            self.nested(gunzip(opened), _inside(where, "gzip"), depth)

    def bzip2(self, path: Path, where: str, depth: int) -> None:
        with bz2.open(path) as opened:
            self.nested(chunks(opened, b""), _inside(where, "bzip2"), depth)

    def xz(self, path: Path, where: str, depth: int) -> None:
        with lzma.open(path) as opened:
            self.nested(chunks(opened, b""), _inside(where, "xz"), depth)

    def zstd(self, path: Path, where: str, depth: int) -> None:
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
        with zipfile.ZipFile(path) as archive:
            for number, member in enumerate(archive.infolist(), 1):
                inside = _inside(where, f"zip member {number}")
                self.text(member.filename.encode() + b"\n" + member.comment, f"{inside} name")
                with archive.open(member) as opened:
                    self.content(opened, inside, depth + 1, None)

    def tar(self, path: Path, where: str, depth: int) -> None:
        with tarfile.open(path, "r:") as archive:
            for number, member in enumerate(archive, 1):
                inside = _inside(where, f"tar member {number}")
                names = (member.name, member.linkname, member.uname, member.gname)
                self.text("\n".join(names).encode("utf-8", "surrogateescape"), f"{inside} name")
                opened = archive.extractfile(member) if member.isreg() else None
                if opened is not None:
                    self.content(opened, inside, depth + 1, None)

    def cram(self, path: Path, where: str, depth: int) -> None:
        """Header, names and tags, through samtools; without bases, for which the reference is not needed."""
        fields = "required_fields=0x801"  # QNAME, AUX
        arguments = ["view", "-h", "--input-fmt-option", fields, "--input-fmt-option", "decode_md=0", str(path)]
        process = subprocess.Popen(
            [*tools.command("samtools"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        with process.stdout:
            self.stream(chunks(process.stdout, b""), _inside(where, "cram"))
        if process.wait() != 0:
            raise ValueError

    def parquet(self, path: Path, where: str, depth: int) -> None:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            names = str(file.schema_arrow).encode()
            self.text(b"\n".join([names, *metadata, *metadata.values()]), _inside(where, "parquet metadata"))
            for batch in file.iter_batches(batch_size=65536):
                self.columns(batch, _inside(where, "parquet"))

    def encrypted(self, path: Path, where: str, depth: int) -> None:
        """What only its key would open."""
        self.result.damaged.append((self.shown, f"{where or 'content'}: encrypted"))

    def arrow(self, path: Path, where: str, depth: int) -> None:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                self.columns(file.get_batch(number), _inside(where, "arrow"))

    def columns(self, batch: pa.RecordBatch, where: str) -> None:
        for number, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True), 1):
            inside = f"{where} column {number}"
            self.text(name.encode(), f"{inside} name")
            for values in flat(column):
                self.stream(rows(values), inside)

    def sqlite(self, path: Path, where: str, depth: int) -> None:
        with sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True) as connection:
            connection.text_factory = bytes
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for number, (table,) in enumerate(tables, 1):
                name = table.decode().replace('"', '""')
                rows = connection.execute(f'SELECT * FROM "{name}"')
                self.stream((sqlite_row(row) for row in rows), _inside(where, f"sqlite table {number}"))
        connection.close()


_Opener = Callable[[_FileScan, Path, str, int], None]
_KINDS: tuple[tuple[int, bytes, _Opener], ...] = (
    (0, b"\x1f\x8b", _FileScan.gzip),
    (0, b"CRAM", _FileScan.cram),
    (0, b"PAR1", _FileScan.parquet),
    (0, b"PARE", _FileScan.encrypted),
    (0, b"crypt4gh", _FileScan.encrypted),
    (0, b"ARROW1", _FileScan.arrow),
    (0, b"SQLite format 3\0", _FileScan.sqlite),
    (0, b"PK\x03\x04", _FileScan.zip),
    (0, b"BZh", _FileScan.bzip2),
    (0, b"\xfd7zXZ\0", _FileScan.xz),
    (0, b"\x28\xb5\x2f\xfd", _FileScan.zstd),
    (257, b"ustar", _FileScan.tar),
)


def _kind(start: bytes) -> _Opener | None:
    return next((opener for at, magic, opener in _KINDS if start[at:].startswith(magic)), None)


def _inside(where: str, kind: str) -> str:
    return f"{where} > {kind}" if where else kind


def _shown(path: Path, root: Path, matcher: Matcher) -> str:
    """``path`` for the report; a part that holds an identifier is replaced by the number of its inode."""
    plain = next(matcher.find(os.fsencode(path)), None) is None
    if plain:
        return str(path).encode("utf-8", "backslashreplace").decode().translate(_CONTROL)
    parts = []
    for part, whole in ((one.name, one) for one in reversed((path, *path.parents)) if one.name):
        if next(matcher.find(os.fsencode(part)), None) is not None:
            part = f"(inode {whole.lstat().st_ino})" if os.path.lexists(whole) else "(hidden)"
        # a name may hold anything: one finding stays one line
        parts.append(part.encode("utf-8", "backslashreplace").decode().translate(_CONTROL))
    return ("/" if path.is_absolute() else "") + "/".join(parts)


_CONTROL = dict.fromkeys((*range(32), 127), "?")
