"""The contents of a delivered file, read once to its last byte and described without a copy of any of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baekman.files.untrusted import FileFault
from baekman.genome.contigs import Contig, contigs_in
from baekman.genome.vcf_header import HeaderText, lines_end, vcf_contigs, vcf_samples
from baekman.intake.delivered_file import DeliveredFile, Measured, expanded, text_lines_bounded, whole_lines
from baekman.intake.examination.cram_header import without_references
from baekman.intake.headers import sam_samples
from baekman.kernels.delivered.fastq import FastqNames
from baekman.kernels.delivered.sam import SamNames
from baekman.kernels.delivered.vcf import RecordOrder
from baekman.privacy.record_layout import TagLayout, VcfLayout
from baekman.privacy.stream_search import IdentifierSearch
from baekman.tools import programs as tools
from baekman.tools.pipes import Pipe, Untrusted, running

# A gVCF record may hold a long allele and its likelihoods. No read is this long on the platforms that deliver.
VCF_LINE_LIMIT = 64 << 20
SAM_LINE_LIMIT = 64 << 20
FASTQ_LINE_LIMIT = 8 << 20
HEADER_LIMIT = 64 << 20
CONTIGS_LIMIT = 1_000_000
GZIP = b"\x1f\x8b"
FASTQ = ("fastq_1", "fastq_2")
# The descriptions of a fault by its number in the kernel.
FASTQ_FAULTS = {
    1: "something else than a FASTQ record",
    2: "a letter in the sequence that IUPAC has for no base",
    3: "a quality that Phred+33 does not have",
    4: "another number of qualities than bases",
    5: "a read without bases",  # an aligner skips it
}


@dataclass(kw_only=True)
class Contents:
    """The contents of one file.

    Attributes:
        sha256: the digest of the file's plaintext, hexadecimal; "" where it could not be read to its end.
        size: bytes of the plaintext.
        faults: pairs of a reason code and a description.
        records: the number of reads or VCF records; secondary and supplementary alignments are no reads.
        names_digest: the digest of the reads' names in their order; equal for the two files of mates.
        suffix: the digit, 1 or 2, at the end of every name of a FASTQ file, as in ``SRR1.7.1``; "" without.
        stems_digest: the digest of the names without ``suffix``; "" without.
        bases_digest: the digest of the first bases of the reads in their order; "" where all reads have the same.
        mates: the reads of a FASTQ file whose name or comment says first mate, and second mate.
        qualities: the lowest and the highest byte of the qualities, as Phred+33; None without any.
        unmarked: a FASTQ file is BGZF without an end marker, and whole otherwise.
        samples: the sample names inside (confidential).
        header: the header as delivered (confidential).
        contigs: the contigs of the header.
        used_contigs: the contigs that records lie on (gVCF only).
        identifiers: kinds of identifier in the header.
        read_identifiers: kinds of identifier in the names and comments of reads.
        record_identifiers: kinds of identifier in tags and calls, each with the place of the first.
    """

    sha256: str = ""
    size: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    records: int = 0
    names_digest: str = ""
    suffix: str = ""
    stems_digest: str = ""
    bases_digest: str = ""
    mates: tuple[int, int] = (0, 0)
    qualities: tuple[int, int] | None = None
    unmarked: bool = False
    samples: tuple[str, ...] = ()
    header: str = field(default="", repr=False)
    contigs: tuple[Contig, ...] = ()
    used_contigs: tuple[str, ...] = ()
    identifiers: set[str] = field(default_factory=set)
    read_identifiers: set[str] = field(default_factory=set)
    record_identifiers: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the contents of a FASTQ file, which has no header, as JSON values."""
        values = {name: getattr(self, name) for name in _OF_FASTQ}
        return {**values, "identifiers": sorted(self.identifiers), "read_identifiers": sorted(self.read_identifiers)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Contents:
        """Return the contents that ``to_json`` described."""
        qualities = values["qualities"]
        return cls(
            **{
                **values,
                "faults": [(code, text) for code, text in values["faults"]],
                "mates": tuple(values["mates"]),
                "qualities": tuple(qualities) if qualities else None,
                "identifiers": set(values["identifiers"]),
                "read_identifiers": set(values["read_identifiers"]),
            }
        )


_OF_FASTQ = (
    *("sha256", "size", "faults", "records", "names_digest", "suffix", "stems_digest", "bases_digest", "mates"),
    *("qualities", "unmarked", "record_identifiers"),
)


def examine(
    delivered: DeliveredFile,
    *,
    reference: Path,
    registered: Sequence[str],
    barcode: str,
    copy: Callable[[bytes], None] = lambda text: None,
) -> Contents:
    """Read ``delivered`` to its end and return a description; CRAM is decoded with the FASTA ``reference``.

    ``registered`` are the confidential strings to search for, ``barcode`` is the specimen's own. Nothing in the
    file raises an error: each problem is in ``Contents.faults``. ``copy`` gets the text of FASTQ, in whole lines.
    """
    row = delivered.row
    measured = Measured(delivered.blocks(), md5=bool(row.md5))
    header_search = IdentifierSearch(registered, barcode=barcode)
    read_search = IdentifierSearch(registered, barcode=barcode)
    record_search = IdentifierSearch(registered, barcode=barcode)
    contents = Contents()
    try:
        if row.kind in FASTQ:
            _examine_fastq(measured, contents, search=read_search, copy=copy)
        elif row.kind in ("bam", "cram"):
            blocks = _sniffed(measured, row.kind)
            searches = (read_search, record_search)
            _examine_aligned(blocks, contents, reference=reference, searches=searches, size=row.size)
        else:
            _examine_gvcf(measured, contents, search=record_search, size=row.size)
    except FileFault as fault:
        contents.faults.append((fault.code, str(fault)))
    contents.faults += _rest_faults(measured, contents, kind=row.kind)
    if measured.complete:
        contents.faults += _sum_faults(measured, delivered)
    header_search.feed(contents.header.encode("utf-8", "surrogateescape"))
    for search in (header_search, read_search, record_search):
        search.finish()
    contents.identifiers = header_search.found
    contents.read_identifiers = read_search.found
    contents.record_identifiers = record_search.places
    # a file that vanished while it was read has no digest: with it, the whole file would be one of other content
    contents.sha256, contents.size = measured.sha256 if measured.complete else "", measured.size
    return contents


def fastq_text(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of a FASTQ file, expanded and bounded, in blocks. Raises ``FileFault``."""
    return text_lines_bounded(expanded(blocks), limit=FASTQ_LINE_LIMIT)


def sam_text(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the SAM or FASTQ text ``blocks`` of samtools, bounded, in whole lines. Raises ``FileFault``."""
    return whole_lines(text_lines_bounded(blocks, limit=SAM_LINE_LIMIT))


def vcf_text(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of a VCF file, expanded and bounded, in blocks. Raises ``FileFault``."""
    return text_lines_bounded(expanded(blocks), limit=VCF_LINE_LIMIT)


def require_readable(pipe: Pipe) -> None:
    """Wait for the tools of ``pipe``; raise ``FileFault`` (``unreadable``) when one failed."""
    if any(pipe.finish()):
        raise FileFault("unreadable", "content that its format does not allow")


def _examine_fastq(
    measured: Measured, contents: Contents, *, search: IdentifierSearch, copy: Callable[[bytes], None]
) -> None:
    digest, stems = hashlib.sha256(), hashlib.sha256()
    suffix: bytes | None = None
    reads = FastqNames()
    # after a fault the rest is still read: a damaged or endless file is the graver fault
    for text in whole_lines(fastq_text(measured)):
        names, comments = reads.feed(text)
        digest.update(names)
        search.feed(names)
        search.feed(comments)
        if suffix is None and names:
            suffix = _suffix(names)
        if suffix and names.count(suffix) == names.count(b"\n"):
            stems.update(names.replace(suffix, b"\n"))
        elif names:
            suffix = b""
        copy(text)
    count = reads.finish()
    if reads.fault_line:
        raise FileFault("unreadable", f"{FASTQ_FAULTS[reads.fault]} at line {reads.fault_line}")
    contents.records = count
    if not contents.records:
        raise FileFault("empty", "no read")
    contents.names_digest = digest.hexdigest()
    if suffix:
        contents.suffix, contents.stems_digest = suffix[:1].decode(), stems.hexdigest()
    contents.bases_digest = f"{count}.{reads.bases_sum:016x}" if reads.varied else ""
    contents.mates = (reads.first_mates, reads.second_mates)
    contents.qualities = reads.qualities


def _suffix(names: bytes) -> bytes:
    """Return the end of the first of ``names``, a digit of a mate and a newline; empty for another end."""
    end = names[: names.index(b"\n") + 1][-2:]
    return end if end in (b"1\n", b"2\n") else b""


def _examine_aligned(
    blocks: Iterable[bytes],
    contents: Contents,
    *,
    reference: Path,
    searches: tuple[IdentifierSearch, IdentifierSearch],
    size: int,
) -> None:
    """Read the text that samtools makes of ``blocks``; ``searches`` are those of names and of tags."""
    name_search, tag_search = searches
    tag_search.layout = TagLayout()
    view = [*tools.command("samtools"), "view", "-h", "--no-PG", "--reference", str(reference), "-"]
    header, delivered_header = bytearray(), bytearray()
    in_header = True
    reads = SamNames()
    with running(view, source=without_references(blocks, delivered_header), untrusted=Untrusted(size)) as pipe:
        for text in sam_text(pipe.blocks()):
            body = text
            if in_header:
                end = lines_end(text, b"@")
                header += text[:end]
                in_header = end == len(text)
                body = text[end:]
                if len(header) > HEADER_LIMIT:
                    raise FileFault("unreadable", f"a header longer than {HEADER_LIMIT} bytes")
            names, tags = reads.feed(body)
            name_search.feed(names)
            tag_search.feed(tags)
        contents.header = (delivered_header or header).decode("utf-8", "surrogateescape")
        contents.contigs = tuple(contigs_in(contents.header))
        contents.samples = sam_samples(contents.header)
        require_readable(pipe)
    contents.records = reads.reads
    contents.qualities = reads.qualities
    if reads.bare:
        # samtools would write them without bases, which the aligner skips, or with good qualities
        raise FileFault("unreadable", f"{reads.bare} reads without bases or without qualities")
    if not contents.records:
        raise FileFault("empty", "no read")


def _examine_gvcf(measured: Measured, contents: Contents, *, search: IdentifierSearch, size: int) -> None:
    header = HeaderText()
    query = [*tools.command("bcftools"), "query", "-f", "%CHROM %POS\\n", "-"]
    order = RecordOrder()
    last = bytearray()
    text_blocks = _noted(_noting_last(vcf_text(measured), last), header, search)
    with running(query, source=text_blocks, untrusted=Untrusted(size)) as pipe:
        for text in whole_lines(pipe.blocks()):
            order.feed(text)
            if len(order.contigs) > CONTIGS_LIMIT:
                raise FileFault("unreadable", "more contigs than any reference has")
        if not order.sorted:
            contents.faults.append(("unreadable", "records out of order"))
        failed = any(pipe.finish())
        # the end of compressed text is checked otherwise
        if last and last != b"\n" and not measured.head.startswith(GZIP):
            contents.faults.append(("truncated", "a last line without a newline"))
        contents.header = str(header)
        if not contents.header.startswith("##fileformat=VCF"):
            raise FileFault("format_wrong", "no VCF header")
        contents.contigs = vcf_contigs(contents.header)
        contents.samples = vcf_samples(contents.header)
        if failed and not contents.faults:
            raise FileFault("unreadable", "a record that VCF does not allow")
    contents.records = order.records
    contents.used_contigs = tuple(name.decode("utf-8", "surrogateescape") for name in dict.fromkeys(order.contigs))
    if not contents.records:
        raise FileFault("empty", "no record")


def vcf_header_of(blocks: Iterable[bytes]) -> str:
    """Return the header of the VCF file ``blocks``. Raises ``FileFault``."""
    header = HeaderText()
    for _ in _noted(vcf_text(blocks), header):
        if header.is_whole:
            break
    return str(header)


def _noted(blocks: Iterable[bytes], header: HeaderText, search: IdentifierSearch | None = None) -> Iterator[bytes]:
    """Yield ``blocks`` of a VCF text as they are; its header lines go to ``header``, its records to ``search``."""
    for block in blocks:
        was_whole = header.is_whole
        records = header.feed(block)
        if len(header) > HEADER_LIMIT:
            raise FileFault("unreadable", f"a header longer than {HEADER_LIMIT} bytes")
        if search is not None:
            if header.is_whole and not was_whole:
                search.layout = VcfLayout(str(header))
            search.feed(records)
        yield block


def _noting_last(blocks: Iterable[bytes], last: bytearray) -> Iterator[bytes]:
    """Yield ``blocks`` as they are; ``last`` has the last byte of those so far."""
    for block in blocks:
        if block:
            last[:] = block[-1:]
        yield block


def _sniffed(measured: Measured, kind: str) -> Iterator[bytes]:
    """Yield the blocks of ``measured``; raise ``FileFault`` (``format_wrong``) when they are not of ``kind``."""
    blocks = iter(measured)
    first = next(blocks, b"")
    if not (measured.is_bam if kind == "bam" else measured.is_cram):
        raise FileFault("format_wrong", f"no {kind.upper()} file")
    yield first
    yield from blocks


def _rest_faults(measured: Measured, contents: Contents, *, kind: str) -> list[tuple[str, str]]:
    """Read the rest after a fault, so that the sums are those of the whole file; return the faults at its end.

    BGZF without an end marker is no fault of a FASTQ file whose last record is whole: some programs write it so, and
    the checksum and the other mate show the rest.
    """
    try:
        for _ in measured:
            pass
    except FileFault as fault:
        if (fault.code, str(fault)) not in contents.faults:
            return [(fault.code, str(fault))]
        return []
    if measured.size and not measured.has_end:
        if kind in FASTQ and not contents.faults:
            contents.unmarked = True
            return []
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
