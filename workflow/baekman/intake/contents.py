"""What is inside a delivered file: read once, to its last byte, and described without keeping any of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baekman.files.untrusted import FileFault
from baekman.genome.contigs import Contig, contigs_in
from baekman.intake.delivered_file import DeliveredFile, Measured, expanded, text_lines_bounded
from baekman.privacy.record_layout import TagLayout, VcfLayout
from baekman.privacy.stream_search import IdentifierSearch
from baekman.tools import programs as tools
from baekman.tools.untrusted_pipes import piped

# a gVCF record may hold a long allele and its likelihoods; no read is this long on the platforms that come
VCF_LINE_LIMIT = 64 << 20
FASTQ_LINE_LIMIT = 8 << 20
HEADER_LIMIT = 64 << 20
CONTIGS_LIMIT = 1_000_000

# Prints each read's name without mate number and, marked by a tab, its comment: one that came before is not
# printed again (while there are few), as mostly they are all the same. Last of all "count N" or "fault LINE".
FASTQ_NAMES = r"""
function fault() { print "fault " NR; failed = 1; exit }
function tell(comment) {
    if (comment == "" || comment in seen) return
    if (known < 10000 && length(comment) < 200) { seen[comment]; known++ }
    print "\t" comment
}
NR % 4 == 1 { if (substr($0, 1, 1) != "@" || length($0) < 2 || $0 ~ /[\001-\010\013-\037]/) fault()
              head = name = substr($0, 2)
              if (at = match(head, /[ \t]/)) { tell(substr(head, at + 1)); name = substr(head, 1, at - 1) }
              sub(/\/[12]$/, "", name); print name; next }
NR % 4 == 2 { bases = length($0); if ($0 ~ /[^A-Za-z.*-]/) fault(); next }
NR % 4 == 3 { if (substr($0, 1, 1) != "+") fault()
              if (length($0) > 1 && substr($0, 2) != head) tell(substr($0, 2))
              next }
{ if (length($0) != bases || $0 ~ /[^!-~]/) fault() }
END { if (!failed) { if (NR % 4) print "fault " NR; else print "count " NR / 4 } }
"""
# Prints the header, then each read's name and, marked by a tab, the text of its tags: one that came before is not
# printed again (while there are few). Tags of qualities are left out: they are noise, and are never kept. Last of
# all "count N".
SAM_NAMES = r"""
BEGIN { split("OQ BQ QT Q2 CQ BZ QX CY U2", names, " "); for (i in names) noise[names[i]] }
function tell(tag) {
    if (tag in seen || substr(tag, 1, 2) in noise) return
    if (known < 10000 && length(tag) < 200) { seen[tag]; known++ }
    print "\t" tag
}
!body && /^@/ { print; next }
!body { body = 1; FS = "\t"; $0 = $0 }
{ n++; print $1; for (i = 12; i <= NF; i++) if ($i ~ /^..:[ZHA]/) tell($i) }
END { print "count " n + 0 }
"""
# Of "contig position" lines: prints each contig once, "unsorted" where order is broken, then "count N".
VCF_ORDER = r"""
$1 != contig { if ($1 in seen) print "unsorted"; seen[$1]; contig = $1; position = 0; print "contig " $1 }
{ if ($2 + 0 < position) { print "unsorted"; exit } position = $2 + 0; n++ }
END { print "count " n + 0 }
"""
_MARKED_LINE = re.compile(rb"^\t[^\n]*\n", re.MULTILINE)


@dataclass(kw_only=True)
class Contents:
    """What one file holds. ``faults`` are (code, found) pairs; ``names_digest`` tells two mates' order apart.

    ``samples`` are the sample names inside (confidential), ``contigs`` those of the header, ``used_contigs``
    those that records lie on (gVCF). ``identifiers`` are kinds found in the header, ``read_identifiers`` in
    read names and comments, ``record_identifiers`` (kind -> the first one's place) in tags and calls.
    """

    sha256: str = ""
    size: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    records: int = 0
    names_digest: str = ""
    samples: tuple[str, ...] = ()
    header: str = field(default="", repr=False)
    contigs: tuple[Contig, ...] = ()
    used_contigs: tuple[str, ...] = ()
    identifiers: set[str] = field(default_factory=set)
    read_identifiers: set[str] = field(default_factory=set)
    record_identifiers: dict[str, str] = field(default_factory=dict)


def examine(delivered: DeliveredFile, *, reference: Path, registered: Sequence[str], label: str) -> Contents:
    """Read ``delivered`` to its end and say what is in it; CRAM is decoded with the FASTA ``reference``.

    ``registered`` are the confidential strings that are looked for, ``label`` the specimen's own. Never
    raises for what the file holds: every problem is in ``faults``.
    """
    row = delivered.row
    measured = Measured(delivered.blocks(), md5=bool(row.md5))
    header_search = IdentifierSearch(registered, label=label)
    read_search = IdentifierSearch(registered, label=label)
    record_search = IdentifierSearch(registered, label=label)
    contents = Contents()
    try:
        if row.kind in ("fastq_1", "fastq_2"):
            _examine_fastq(measured, contents, search=read_search, size=row.size)
        elif row.kind in ("bam", "cram"):
            blocks = _sniffed(measured, row.kind)
            searches = (read_search, record_search)
            _examine_aligned(blocks, contents, reference=reference, searches=searches, size=row.size)
        else:
            _examine_gvcf(measured, contents, search=record_search, size=row.size)
    except FileFault as fault:
        contents.faults.append((fault.code, str(fault)))
    contents.faults += _rest_faults(measured, contents)
    if measured.complete:
        contents.faults += _sum_faults(measured, delivered)
    header_search.feed(contents.header.encode("utf-8", "surrogateescape"))
    for search in (header_search, read_search, record_search):
        search.finish()
    contents.identifiers = header_search.found
    contents.read_identifiers = read_search.found
    contents.record_identifiers = record_search.places
    contents.sha256, contents.size = measured.sha256, measured.size
    return contents


def fastq_text(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a FASTQ file, expanded and bounded. Raises ``FileFault``."""
    return text_lines_bounded(expanded(blocks), limit=FASTQ_LINE_LIMIT)


def vcf_text(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a VCF file, expanded and bounded. Raises ``FileFault``."""
    return text_lines_bounded(expanded(blocks), limit=VCF_LINE_LIMIT)


def _examine_fastq(measured: Measured, contents: Contents, *, search: IdentifierSearch, size: int) -> None:
    digest = hashlib.sha256()
    with piped(fastq_text(measured), ["awk", FASTQ_NAMES], size=size) as pipe:
        last = b""
        for block in _whole_lines(pipe.blocks()):
            body, last = _without_last_line(last + block)
            search.feed(body)
            digest.update(_MARKED_LINE.sub(b"", body) if b"\t" in body else body)
        pipe.require_success()
    word, _, number = last.decode("ascii", "replace").strip().partition(" ")
    if word != "count":
        raise FileFault("unreadable", f"something else than a FASTQ record at line {number}")
    contents.records = int(number)
    if not contents.records:
        raise FileFault("empty", "no read")
    contents.names_digest = digest.hexdigest()


def _examine_aligned(
    blocks: Iterable[bytes],
    contents: Contents,
    *,
    reference: Path,
    searches: tuple[IdentifierSearch, IdentifierSearch],
    size: int,
) -> None:
    """``searches``: of read names, and of tags."""
    names, tags = searches
    tags.layout = TagLayout()
    view = [*tools.command("samtools"), "view", "-h", "--no-PG", "--reference", str(reference), "-"]
    header = bytearray()
    in_header = True
    last = b""
    with piped(blocks, view, ["awk", SAM_NAMES], size=size) as pipe:
        for block in _whole_lines(pipe.blocks()):
            body, last = _without_last_line(last + block)
            if in_header:
                end = _header_end(body, b"@")
                header += body[:end]
                in_header = end == len(body)
                body = body[end:]
                if len(header) > HEADER_LIMIT:
                    raise FileFault("unreadable", f"a header longer than {HEADER_LIMIT} bytes")
            if b"\t" in body:
                tags.feed(b"".join(_MARKED_LINE.findall(body)))
                body = _MARKED_LINE.sub(b"", body)
            names.feed(body)
        contents.header = header.decode("utf-8", "surrogateescape")
        contents.contigs = tuple(contigs_in(contents.header))
        contents.samples = _read_group_samples(contents.header)
        pipe.require_success()
    word, _, number = last.decode("ascii", "replace").strip().partition(" ")
    contents.records = int(number) if word == "count" and number.isdigit() else 0
    if not contents.records:
        raise FileFault("empty", "no read")


def _examine_gvcf(measured: Measured, contents: Contents, *, search: IdentifierSearch, size: int) -> None:
    header = _VcfHeader(search)
    query = [*tools.command("bcftools"), "query", "-f", "%CHROM %POS\\n", "-"]
    used: list[str] = []
    counted = ""
    with piped(header.noted(vcf_text(measured)), query, ["awk", VCF_ORDER], size=size) as pipe:
        for block in _whole_lines(pipe.blocks()):
            for line in block.decode("utf-8", "surrogateescape").splitlines():
                word, _, value = line.partition(" ")
                if word == "contig":
                    used.append(value)
                elif word == "unsorted":
                    contents.faults.append(("unreadable", "records out of order"))
                else:
                    counted = value
            if len(used) > CONTIGS_LIMIT:
                raise FileFault("unreadable", "more contigs than any reference has")
        pipe.finish()
        contents.header = header.text
        if not contents.header.startswith("##fileformat=VCF"):
            raise FileFault("format_wrong", "no VCF header")
        contents.contigs = _vcf_contigs(contents.header)
        contents.samples = _vcf_samples(contents.header)
        if any(process.returncode for process in pipe.processes[:1]) and not contents.faults:
            raise FileFault("unreadable", "a record that VCF does not allow")
    contents.records = int(counted or 0)
    contents.used_contigs = tuple(dict.fromkeys(used))
    if not contents.records:
        raise FileFault("empty", "no record")


def vcf_header_of(blocks: Iterable[bytes]) -> str:
    """The header of the VCF file ``blocks``. Raises ``FileFault``."""
    header = _VcfHeader()
    for _ in header.noted(vcf_text(blocks)):
        if header.whole:
            break
    return header.text


class _VcfHeader:
    """The lines that begin with ``#`` at the head of a VCF text, taken down as it passes.

    Records are given to ``search``.
    """

    def __init__(self, search: IdentifierSearch | None = None) -> None:
        self._lines = bytearray()
        self._search = search
        self.whole = False

    @property
    def text(self) -> str:
        return self._lines.decode("utf-8", "surrogateescape")

    def noted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """``blocks`` as they are."""
        rest = b""
        for block in blocks:
            records = block
            if not self.whole:
                seen = rest + block
                end = _header_end(seen, b"#")
                self._lines += seen[:end]
                rest = seen[end:]
                # a header line at the end may only have begun
                self.whole = bool(rest) and (b"\n" in rest or not rest.startswith(b"#"))
                if len(self._lines) + len(rest) > HEADER_LIMIT:
                    raise FileFault("unreadable", f"a header longer than {HEADER_LIMIT} bytes")
                records = rest if self.whole else b""
                if self.whole and self._search is not None:
                    self._search.layout = VcfLayout(self.text)
            if self._search is not None:
                self._search.feed(records)
            yield block


def _sniffed(measured: Measured, kind: str) -> Iterator[bytes]:
    """The blocks of ``measured``; ``FileFault`` (``format_wrong``) when they are not of ``kind``."""
    blocks = iter(measured)
    first = next(blocks, b"")
    if not (measured.is_bam if kind == "bam" else measured.is_cram):
        raise FileFault("format_wrong", f"no {kind.upper()} file")
    yield first
    yield from blocks


def _rest_faults(measured: Measured, contents: Contents) -> list[tuple[str, str]]:
    """Read what is left after a fault, so that the sums are those of the whole file; a missing end marker."""
    try:
        for _ in measured:
            pass
    except FileFault as fault:
        if (fault.code, str(fault)) not in contents.faults:
            return [(fault.code, str(fault))]
        return []
    if measured.size and not measured.has_end:
        return [("truncated", "no end marker")]
    return []


def _sum_faults(measured: Measured, delivered: DeliveredFile) -> list[tuple[str, str]]:
    row = delivered.row
    faults = []
    if measured.size != row.size:
        faults.append(("size_wrong", f"{measured.size} bytes"))
    if (row.sha256 and measured.sha256 != row.sha256) or (row.md5 and measured.md5 != row.md5):
        faults.append(("checksum_wrong", "another checksum"))
    return faults


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """``blocks`` cut after a line's end; the last may have none."""
    rest: list[bytes] = []
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if not end:
            rest.append(block)
            continue
        yield b"".join([*rest, block[:end]])
        rest = [block[end:]] if block[end:] else []
    if rest:
        yield b"".join(rest)


def _without_last_line(text: bytes) -> tuple[bytes, bytes]:
    """``text`` (whole lines) without its last line, and that line."""
    start = text.rfind(b"\n", 0, len(text) - 1) + 1
    return text[:start], text[start:]


def _header_end(text: bytes, mark: bytes) -> int:
    """Where the lines that begin with ``mark`` end in ``text``; whole lines only."""
    position = 0
    while text.startswith(mark, position):
        end = text.find(b"\n", position)
        if end < 0:
            break
        position = end + 1
    return position


def _read_group_samples(header: str) -> tuple[str, ...]:
    """The SM of every @RG, each once."""
    lines = (line for line in header.splitlines() if line.startswith("@RG\t"))
    names = (item[3:] for line in lines for item in line.split("\t") if item.startswith("SM:"))
    return tuple(dict.fromkeys(names))


def _vcf_samples(header: str) -> tuple[str, ...]:
    last = header.rstrip("\n").rsplit("\n", 1)[-1]
    return tuple(last.split("\t")[9:]) if last.startswith("#CHROM\t") else ()


def _vcf_contigs(header: str) -> tuple[Contig, ...]:
    found = []
    for line in header.splitlines():
        if line.startswith("##contig=<"):
            fields = dict(re.findall(r"[<,]\s*([A-Za-z0-9_]+)=([^,>\"]+)", line))
            length = fields.get("length", "")
            if fields.get("ID"):
                found.append(
                    Contig(
                        name=fields["ID"],
                        length=int(length) if length.isdigit() else -1,
                        m5=fields.get("md5", "").lower(),
                    )
                )
    return tuple(found)
