"""Target regions: the part of a genome that exomes, panels and slices are sequenced in, from a BED file."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.genome.regions import Region

DEFAULT_PADDING = 100  # bases on each side of a target where variants are called too, as GATK's exome workflows
SHOWN_PROBLEMS = 20
INTERVAL_LIST = "@"  # of its header lines
GZIP = b"\x1f\x8b"
BED_FORM = "contig, start and end separated by tabs (BED: 0-based, half-open)"
_NO_REGION = re.compile(r"#|(track|browser)(\s|$)")


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Target ``regions``, sorted in the order of the reference and disjoint, and the ``padding`` of calling."""

    regions: tuple[Region, ...]
    padding: int = DEFAULT_PADDING

    @property
    def bases(self) -> int:
        """Return the number of bases of the regions."""
        return sum(region.end - region.start + 1 for region in self.regions)

    def padded(self, lengths: Mapping[str, int]) -> list[Region]:
        """Return the regions with ``padding`` bases on each side, cut at the ends of contigs and merged."""
        return merged(
            (
                Region(region.contig, max(1, region.start - self.padding), min(length, region.end + self.padding))
                for region in self.regions
                if (length := lengths[region.contig])
            ),
            order=lengths,
        )

    def description(self) -> dict[str, int | str]:
        """Return the number of regions and bases, the padding, and the SHA-256 of the regions."""
        return {
            "regions": len(self.regions),
            "bases": self.bases,
            "padding": self.padding,
            "sha256": targets_hash(self.regions),
        }


def merged(regions: Iterable[Region], *, order: Iterable[str]) -> list[Region]:
    """Return ``regions`` sorted in the ``order`` of contigs; those that overlap or touch become one."""
    rank = {contig: number for number, contig in enumerate(order)}
    joined: list[Region] = []
    for region in sorted(regions, key=lambda region: (rank[region.contig], region.start, region.end)):
        last = joined[-1] if joined else None
        if last is not None and last.contig == region.contig and region.start <= last.end + 1:
            joined[-1] = Region(last.contig, last.start, max(last.end, region.end))
        else:
            joined.append(region)
    return joined


class Overlaps:
    """Disjoint regions by contig, to cut other regions to them."""

    def __init__(self, regions: Iterable[Region]) -> None:
        by_contig: dict[str, list[Region]] = defaultdict(list)
        for region in regions:
            by_contig[region.contig].append(region)
        self._regions = {contig: sorted(own) for contig, own in by_contig.items()}
        self._ends = {contig: [region.end for region in own] for contig, own in self._regions.items()}

    def within(self, region: Region) -> list[Region]:
        """Return the parts of ``region`` that lie in the regions, sorted."""
        own = self._regions.get(region.contig, [])
        parts = []
        for number in range(bisect_left(self._ends.get(region.contig, []), region.start), len(own)):
            if own[number].start > region.end:
                break
            start, end = max(region.start, own[number].start), min(region.end, own[number].end)
            parts.append(Region(region.contig, start, end))
        return parts


def read_targets(
    path: Path,
    *,
    lengths: Mapping[str, int],
    aliases: Mapping[str, str],
    padding: int = DEFAULT_PADDING,
    setting: str = "target_regions",
) -> Targets:
    """Return the regions in the BED file ``path``, plain or compressed by gzip.

    Lines may be in any order and overlap; further columns, comments and ``track`` lines are not read.

    Args:
        path: The file.
        lengths: Numbers of bases by contig, in the order of the reference.
        aliases: Other names of contigs: name in the file -> name in the reference.
        padding: Bases on each side of a region where variants are called too.
        setting: The setting or option that names the file, for messages.

    Raises:
        InputRefused: A line is no region of the reference (every such line, at most ``SHOWN_PROBLEMS``), or no line is.
    """
    regions: list[Region] = []
    problems: list[Problem] = []
    for number, line in enumerate(_lines(path, setting), start=1):
        if not line.strip() or _NO_REGION.match(line):
            continue
        region = _region(line, lengths, aliases)
        if isinstance(region, Region):
            regions.append(region)
            continue
        expected, found, action = region
        problems.append(Problem(file=path.name, place=f"line {number}", expected=expected, found=found, action=action))
        if line.startswith(INTERVAL_LIST):
            break
    if len(problems) > SHOWN_PROBLEMS:
        more = len(problems) - SHOWN_PROBLEMS
        last = Problem(file=path.name, expected=BED_FORM, found=f"{more} more lines of other content")
        problems = [*problems[:SHOWN_PROBLEMS], last]
    if not regions and not problems:
        found = "no region"
        problems = [Problem(file=path.name, expected=BED_FORM, found=found, action=f"correct {setting}")]
    if problems:
        raise InputRefused(problems)
    return Targets(regions=tuple(merged(regions, order=lengths)), padding=padding)


def format_targets(regions: Sequence[Region]) -> str:
    """Return ``regions`` as BED."""
    return "".join(f"{region.contig}\t{region.start - 1}\t{region.end}\n" for region in regions)


def targets_hash(regions: Sequence[Region]) -> str:
    """Return the SHA-256 of sorted and merged ``regions`` as BED; files with the same bases have the same."""
    return hashlib.sha256(format_targets(regions).encode()).hexdigest()


def _lines(path: Path, setting: str) -> list[str]:
    """Return the lines of a text file, plain or compressed. Raises InputRefused for other content."""
    try:
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a BED file, plain or compressed by gzip",
                found="no file that can be read as text",
                action=f"correct {setting}",
            )
        ) from None


def _region(line: str, lengths: Mapping[str, int], aliases: Mapping[str, str]) -> Region | tuple[str, str, str]:
    """Return the region in ``line``, or what is expected, what is found, and the next step."""
    if line.startswith(INTERVAL_LIST):
        return (
            BED_FORM,
            "the header of an interval list (Picard, 1-based)",
            "write the targets as BED, for example with IntervalListToBed",
        )
    fields = line.split("\t") if "\t" in line else line.split()
    if len(fields) < 3 or not all(_is_number(field) for field in fields[1:3]):
        found = f"{len(fields)} columns" if len(fields) < 3 else "a start or end that is no number"
        return BED_FORM, found, "correct the line"
    contig, start, end = fields[0].strip(), int(fields[1]), int(fields[2])
    name = contig if contig in lengths else aliases.get(contig, "")
    if name not in lengths:
        action = "use a BED file for this reference, or name the contig in cohort.contig_aliases"
        return "a contig of the reference, or of cohort.contig_aliases", repr(contig[:40]), action
    if start >= end:
        return "a start below the end", f"{start} and {end}", "correct the line: BED is 0-based and half-open"
    if end > lengths[name]:
        action = "use a BED file for this reference"
        return f"an end of at most {lengths[name]}, the number of bases of {name}", str(end), action
    return Region(name, start + 1, end)


def _is_number(field: str) -> bool:
    text = field.strip()
    return text.isascii() and text.isdigit() and len(text) < 16


def cut_to_targets(
    stretches: Iterable[tuple[str, int, int, str]], targets: Targets
) -> Iterator[tuple[str, int, int, str]]:
    """Yield the parts of ``stretches`` (contig, start, end, kind; 0-based, half-open) that lie in the targets."""
    overlaps = Overlaps(targets.regions)
    for contig, start, end, kind in stretches:
        for part in overlaps.within(Region(contig, start + 1, end)):
            yield contig, part.start - 1, part.end, kind
