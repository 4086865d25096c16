"""Sanitised copies of what a delivery brought: nothing of a header or a name is kept that is not needed.

Headers are rebuilt from an allow-list, never edited. Everything streams through the field's tools.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from baekman.files.untrusted import FileFault
from baekman.intake.contents import fastq_text, vcf_text
from baekman.tools import programs as tools
from baekman.tools.untrusted_pipes import Pipe, piped

# a staged file is read once and deleted: light compression
BGZIP_OPTIONS = ("--stdout", "--compress-level", "2")
ROOM = 64 << 20  # bytes; with less the disk is full
# one lane's pair of writers per read group; more read groups than this go to one lane
LANES_LIMIT = 16

FASTQ_RENAMED = r"""
NR % 4 == 1 { print "@" lane "." ++n; next }
NR % 4 == 3 { print "+"; next }
{ print }
"""
FASTQ_NAMED = r"""
NR % 4 == 1 { sub(/[ \t].*/, ""); sub(/\/[12]$/, ""); print; next }
NR % 4 == 3 { print "+"; next }
{ print }
"""
# Interleaved pairs whose name lines end in "\tRG:Z:<read group>": each pair to the two files of its lane.
# LANES holds "read group\tlane number" lines; out holds the files' names before the lane number and mate.
PAIRS_BY_LANE = r"""
BEGIN { n = split(ENVIRON["LANES"], lines, "\n")
        for (i = 1; i <= n; i++) { split(lines[i], pair, "\t"); lane_of[pair[1]] = pair[2] } }
NR % 8 == 1 { lane = 1; at = index($0, "\tRG:Z:")
              if (at) { group = substr($0, at + 6); sub(/\t.*/, "", group)
                        if (group in lane_of) lane = lane_of[group] }
              count[lane]++
              name = rename ? "@L" lane "." count[lane] : substr($0, 1, at ? at - 1 : length($0)) }
{ mate = (NR - 1) % 8 < 4 ? 1 : 2; file = ENVIRON["OUT_" lane "_" mate] }
NR % 4 == 1 { print name > file; next }
NR % 4 == 3 { print "+" > file; next }
{ print > file }
END { if (NR % 8) exit 4; for (lane in count) print lane, count[lane] }
"""
# Collated SAM without a header: reads numbered (all records of a name alike), read groups replaced.
SAM_SANITISED = r"""
BEGIN { FS = OFS = "\t"; n = split(ENVIRON["LANES"], lines, "\n")
        for (i = 1; i <= n; i++) { split(lines[i], pair, "\t"); lane_of[pair[1]] = pair[2] }
        while ((getline line < ENVIRON["HEADER"]) > 0) print line }
{ if ($1 != last) { last = $1; number++ }
  lane = 1; keep = 11
  for (i = 12; i <= NF; i++) {
      if (substr($i, 1, 5) == "RG:Z:") { group = substr($i, 6); if (group in lane_of) lane = lane_of[group] }
      else $(++keep) = $i }
  if (rename) $1 = "L1." number
  NF = keep; print $0, "RG:Z:L" lane }
"""
# FILTERS names a file of "delivered name, tab, kept name" lines, one for each declared filter.
VCF_REHEADED = r"""
function kept(filters,    n, i, names, joined) {
    n = split(filters, names, ";")
    for (i = 1; i <= n; i++) joined = joined (i > 1 ? ";" : "") name[names[i]]
    return joined
}
BEGIN { FS = OFS = "\t"
        while ((getline line < ENVIRON["HEADER"]) > 0) print line
        while ((getline line < ENVIRON["FILTERS"]) > 0) { split(line, pair, "\t"); name[pair[1]] = pair[2] } }
/^#/ { next }
$7 == "." || $7 == "PASS" { print; next }
{ if (!($7 in seen)) seen[$7] = kept($7)
  if (seen[$7] != $7) $7 = seen[$7]
  print }
"""
# what alignment and calling put there and callers read; no text of a laboratory, and nothing that is not searched
TAGS = "NM,MD,AS,XS,SA,MC,MQ,ms,RG,UQ,PQ,XA,NH,HI"

ALT_IDS = ("NON_REF", "*", "DEL", "INS", "DUP", "INV", "CNV")
INFO_IDS = (
    *("END", "DP", "MQ", "MQ0", "QD", "FS", "SOR", "AC", "AN", "AF", "MLEAC", "MLEAF", "ExcessHet", "SB"),
    *("MQRankSum", "ReadPosRankSum", "BaseQRankSum", "ClippingRankSum", "RAW_MQ", "RAW_MQandDP", "MIN_DP"),
    *("MinDP", "INDEL", "IDV", "IMF", "VDB", "RPB", "MQB", "BQB", "MQSB", "SGB", "MQ0F", "DP4", "I16", "QS"),
    *("SVTYPE", "SVLEN", "BLOCKAVG_min30p3a", "AO", "RO", "TYPE", "LEN", "NUMALT", "ODDS"),
)
# of the callers that are known; a filter that a laboratory made up is numbered, for its name may tell anything
FILTER_NAMES = re.compile(
    r"PASS|LowQual|LOWQUAL|RefCall|NoCall|GERMLINE|Deleted|LowGQX?|LowDP|LowDepth|HighDepth|HighDPFRatio|LowConf"
    r"|NonRef|SiteConflict|PloidyConflict|SnpGap|IndelGap|SnpCluster|DRAGEN(?:Snp|Indel|)HardQUAL"
    r"|VQSRTranche(?:SNP|INDEL)[0-9.]{1,8}to[0-9.]{1,8}\+?"
    r"|(?:QD|FS|SOR|MQ|DP|GQ|QUAL|MQRankSum|ReadPosRankSum|q|s|d)-?[0-9]{1,3}(?:\.[0-9]{1,3})?"
)
FORMAT_IDS = (
    *("GT", "GQ", "DP", "AD", "ADF", "ADR", "MIN_DP", "MED_DP", "PL", "GL", "GP", "PS", "PGT", "PID", "SB"),
    *("SP", "VAF", "RGQ", "FT", "AO", "RO", "QA", "QR", "GQX", "DPF", "DPI", "RNC", "AF", "PRI", "PP"),
)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A staged pair (or single file): ``lane`` is ``L1``, ``L2``, …; ``file_2`` is None unless FASTQ."""

    lane: str
    file_1: Path
    file_2: Path | None


def stage_fastq(blocks: Iterable[bytes], output: Path, *, lane: str, rename: bool, size: int) -> None:
    """Write FASTQ ``blocks`` to ``output`` (BGZF): comments dropped, reads named ``<lane>.<number>``.

    Without ``rename`` the names stay, without mate suffix and comment. Raises ``FileFault``.
    """
    program = FASTQ_RENAMED if rename else FASTQ_NAMED
    awk = ["awk", "-v", f"lane={lane}", program]
    bgzip = [*tools.command("bgzip"), *BGZIP_OPTIONS]
    with piped(fastq_text(blocks), awk, bgzip, size=size, output=output) as pipe:
        _finish(pipe, output.parent)


def stage_reads(
    blocks: Iterable[bytes],
    folder: Path,
    *,
    reference: Path,
    read_groups: Sequence[str],
    first_lane: int,
    rename: bool,
    size: int,
) -> tuple[list[Lane], int]:
    """Write the read pairs of a BAM or CRAM to ``folder`` as FASTQ, one lane per read group that has any.

    Returns the lanes, numbered from ``first_lane``, and how many reads were left out for want of their mate.
    Raises ``FileFault``.
    """
    groups = list(read_groups) if 0 < len(read_groups) <= LANES_LIMIT else []
    numbers = range(first_lane, first_lane + max(len(groups), 1))
    with tempfile.TemporaryDirectory(dir=folder) as scratch, _writers(folder, numbers) as sinks:
        singles = Path(scratch, "singles.fastq")
        environment = {
            "LANES": _lane_table(groups, numbers),
            **{f"OUT_{n}_{mate}": f"/dev/fd/{sink}" for (n, mate), sink in sinks.items()},
        }
        program = PAIRS_BY_LANE.replace("lane = 1;", f"lane = {first_lane};")
        with piped(
            blocks,
            _collate(reference, scratch),
            [
                *(*tools.command("samtools"), "fastq", "-n", "-T", "RG"),
                *("-0", os.devnull, "-s", str(singles), "-"),
            ],
            ["awk", "-v", f"rename={int(rename)}", program],
            size=size,
            environment=environment,
            pass_fds=list(sinks.values()),
        ) as pipe:
            counts = dict(line.split() for line in b"".join(pipe.blocks()).decode().splitlines())
            _finish(pipe, folder)
        single = sum(1 for _ in singles.open("rb")) // 4 if singles.exists() else 0
    lanes = []
    for number in numbers:
        pair = (folder / _lane_file(number, 1), folder / _lane_file(number, 2))
        if str(number) in counts:
            lanes.append(Lane(lane=f"L{number}", file_1=pair[0], file_2=pair[1]))
        else:
            for file in pair:
                file.unlink()
    if not lanes:
        raise FileFault("empty", "no read pair")
    return lanes, single


def stage_alignment(
    blocks: Iterable[bytes],
    output: Path,
    *,
    header: str,
    participant: str,
    platform: str,
    reference: Path,
    read_groups: Sequence[str],
    rename: bool,
    size: int,
) -> None:
    """Write the alignment in ``blocks`` (BAM or CRAM) to ``output`` as sorted CRAM with a rebuilt header.

    ``header`` is the delivered one, whose contigs are kept; ``read_groups`` its read group IDs in order.
    """
    groups = list(read_groups) if 0 < len(read_groups) <= LANES_LIMIT else []
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        rebuilt = Path(scratch, "header.sam")
        lanes = range(1, max(len(groups), 1) + 1)
        rebuilt.write_text(
            sam_header(header, participant=participant, platform=platform, lanes=lanes), encoding="utf-8"
        )
        samtools = tools.command("samtools")
        with piped(
            blocks,
            _collate(reference, scratch),
            [*samtools, "view", "--no-PG", "--keep-tag", TAGS, "-"],
            ["awk", "-v", f"rename={int(rename)}", SAM_SANITISED],
            [
                *(*samtools, "sort", "--no-PG", "-m", "512M", "-T", str(Path(scratch, "sort"))),
                *("-O", "cram,version=3.0", "--reference", str(reference), "-o", str(output), "-"),
            ],
            size=size,
            environment={
                "LANES": _lane_table(groups, lanes),
                "HEADER": str(rebuilt),
            },
        ) as pipe:
            _finish(pipe, output.parent)


def sam_header(header: str, *, participant: str, platform: str, lanes: Iterable[int]) -> str:
    """A SAM header with the contigs of ``header`` (name, length, M5) and read groups of ``participant``."""
    lines = ["@HD\tVN:1.6\tSO:unsorted"]
    for line in header.splitlines():
        if line.startswith("@SQ\t"):
            kept = [item for item in line.split("\t")[1:] if item[:3] in ("SN:", "LN:", "M5:")]
            lines.append("\t".join(["@SQ", *kept]))
    for number in lanes:
        lane = f"L{number}"
        lines.append(f"@RG\tID:{lane}\tSM:{participant}\tPL:{platform}\tLB:{participant}\tPU:{participant}.{lane}")
    return "\n".join(lines) + "\n"


def stage_vcf(blocks: Iterable[bytes], output: Path, *, header: str, sample: str, size: int) -> None:
    """Write the single-sample VCF or gVCF ``blocks`` to ``output`` (BGZF) with its index (``.tbi``).

    ``header`` is the delivered one. Of records stay position, alleles, quality, filters and the INFO and
    FORMAT fields of the allow-list; the sample is named ``sample``, filters as ``filter_names`` says. Raises
    ``FileFault``.
    """
    bcftools = tools.command("bcftools")
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        rebuilt = Path(scratch, "header.vcf")
        rebuilt.write_text(vcf_header(header, sample=sample), encoding="utf-8")
        filters = Path(scratch, "filters.tsv")
        filters.write_text("".join(f"{old}\t{new}\n" for old, new in filter_names(header).items()), encoding="utf-8")
        with piped(
            vcf_text(blocks),
            [*bcftools, "annotate", "--no-version", "-x", _dropped(header), "-"],
            ["awk", VCF_REHEADED],
            [*bcftools, "view", "--no-version", "-O", "z", "-o", str(output), "-"],
            size=size,
            environment={"HEADER": str(rebuilt), "FILTERS": str(filters)},
        ) as pipe:
            _finish(pipe, output.parent)
    indexed = subprocess.run(
        [*bcftools, "index", "--tbi", "--force", str(output)], stderr=subprocess.DEVNULL, check=False
    )
    if indexed.returncode:
        _require_room(output.parent)
        raise FileFault("unreadable", "records that cannot be indexed")


def vcf_header(header: str, *, sample: str) -> str:
    """A VCF header rebuilt from ``header``: version, filters, contigs and the allowed ALT, INFO and FORMAT.

    Descriptions are free text and are not kept.
    """
    lines = ["##fileformat=VCFv4.2"]
    filters = filter_names(header)
    for kind, name, fields in _definitions(header):
        if kind == "contig":
            length = f",length={fields['length']}" if fields.get("length", "").isdigit() else ""
            lines.append(f"##contig=<ID={name}{length}>")
        elif kind == "FILTER":
            lines.append(f'##FILTER=<ID={filters[name]},Description="as delivered">')
        elif kind == "ALT" and name in ALT_IDS:
            lines.append(f'##ALT=<ID={name},Description="as delivered">')
        elif name in {"INFO": INFO_IDS, "FORMAT": FORMAT_IDS}.get(kind, ()):
            kept = f"ID={name},Number={fields.get('Number', '.')},Type={fields.get('Type', 'String')}"
            lines.append(f'##{kind}=<{kept},Description="as delivered">')
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    return "\n".join([*dict.fromkeys(lines), "\t".join([*columns, sample])]) + "\n"


def filter_names(header: str) -> dict[str, str]:
    """Delivered -> kept name of every filter in ``header``: callers' own stay, others are ``filter1``, ``filter2``…"""
    declared = dict.fromkeys(name for kind, name, _ in _definitions(header) if kind == "FILTER")
    unknown = [name for name in declared if not FILTER_NAMES.fullmatch(name)]
    return {name: name for name in declared} | {name: f"filter{n}" for n, name in enumerate(unknown, 1)}


def _definitions(header: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Kind, ID and plain fields (those before the free text) of every ``##KIND=<ID=…>`` line."""
    for line in header.splitlines():
        kind, _, rest = line.removeprefix("##").partition("=<")
        plain = rest.split(",Description=", 1)[0].rstrip(">")
        fields = dict(item.split("=", 1) for item in plain.split(",") if "=" in item)
        if line.startswith("##") and fields.get("ID"):
            yield kind, fields["ID"], fields


def _dropped(header: str) -> str:
    """The argument of ``bcftools annotate -x``: IDs, and all INFO and FORMAT fields that are not allowed."""
    defined = {(kind, name) for kind, name, _ in _definitions(header)}
    info = [f"INFO/{name}" for name in INFO_IDS if ("INFO", name) in defined]
    formats = [f"FORMAT/{name}" for name in FORMAT_IDS if ("FORMAT", name) in defined]
    return ",".join(["ID", f"^{','.join(info)}" if info else "INFO", f"^{','.join(formats)}" if formats else "FORMAT"])


def _finish(pipe: Pipe, folder: Path) -> None:
    """``Pipe.require_success``; OSError where the tools had no room in ``folder``, which is no fault of the file."""
    try:
        pipe.require_success()
    except FileFault:
        _require_room(folder)
        raise


def _require_room(folder: Path) -> None:
    """Raise OSError when ``folder`` has no room, by its disk or a quota: a tool that failed says nothing then."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        os.posix_fallocate(probe.fileno(), 0, ROOM)


def _collate(reference: Path, scratch: str) -> list[str]:
    """Reads of a name together; the spill files lie in ``scratch``."""
    return [
        *(*tools.command("samtools"), "collate", "--no-PG", "-u", "-O", "--reference", str(reference)),
        *("-T", str(Path(scratch, "collate")), "-"),
    ]


def _lane_table(groups: Iterable[str], numbers: Iterable[int]) -> str:
    """The lines that the awk programs read as ``LANES``."""
    return "\n".join(f"{group}\t{number}" for group, number in zip(groups, numbers, strict=False))


def _lane_file(number: int, mate: int) -> str:
    return f"L{number}_{mate}.fastq.gz"


@contextmanager
def _writers(folder: Path, numbers: Iterable[int]) -> Iterator[dict[tuple[int, int], int]]:
    """For each lane and mate a descriptor that compresses what is written to it into the lane's file."""
    bgzip = [*tools.command("bgzip"), *BGZIP_OPTIONS]
    processes: list[subprocess.Popen[bytes]] = []
    sinks: dict[tuple[int, int], int] = {}
    try:
        for number in numbers:
            for mate in (1, 2):
                with (folder / _lane_file(number, mate)).open("wb") as written:
                    process = subprocess.Popen(bgzip, stdin=subprocess.PIPE, stdout=written)
                processes.append(process)
                assert process.stdin is not None
                sinks[number, mate] = process.stdin.fileno()
        yield sinks
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        failed = [process for process in processes if process.wait() != 0]
    if failed:
        raise OSError("a staged file could not be written")
