"""The cohort as one multi-sample file: BCF and VCF with a column per participant, and from these pgen and zarr.

One task per shard writes a piece of BGZF-compressed records. The header and the pieces in their order are the file,
whichever process wrote them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pysam.bcftools

from baekman.arrow import numpy_of
from baekman.cohort.commit import sites_metadata
from baekman.cohort.dense_genotypes import (
    JOINT,
    RAW,
    chunks,
    count,
    genotypes,
    mode_number,
    participants_of,
    read_evidence,
    sites_within,
)
from baekman.cohort.snapshot import Snapshot, read_sites, reading
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.export import bcf, counts
from baekman.export.pgen import write_pgen
from baekman.export.vcz import write_vcz
from baekman.files import bgzf
from baekman.files.atomic import atomic_file, fsync_folder, write_text
from baekman.genome.regions import Region
from baekman.genome.shards import Shard
from baekman.genome.targets import Overlaps
from baekman.tools import programs as tools

FORMATS = ("vcf", "bcf", "pgen", "zarr")
OTHER_NAMES = {
    "vcf": ("vcf.gz", "vcfgz", "gvcf", "z", "v"),
    "bcf": ("b", "u"),
    "pgen": ("plink", "plink2", "bed", "pfile", "bfile"),
    "zarr": ("vcz", "vcf-zarr", "vcfzarr"),
}
TBI_LIMIT = 1 << 29  # the longest contig that a .tbi index can hold


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of an export.

    ``regions`` are sorted and disjoint; None: the genome. ``mode`` is called, raw or joint; ``by_position`` puts one
    position on a line. The participants ``without`` have no column, and alleles that only they carry no line. Neither
    have alleles with fewer than ``min_ac`` copies in the genotypes that are shown. ``is_part``: the sites count
    participants who are not in the snapshot, as those of a freeze may.
    """

    regions: tuple[Region, ...] | None = None
    mode: str = "called"
    by_position: bool = False
    without: frozenset[str] = frozenset()
    min_ac: int = 0
    is_part: bool = False

    def within(self, shard: Shard) -> list[Region] | None:
        """Return the regions that touch a shard; None where everything is in the export."""
        if self.regions is None:
            return None
        contig, start, end = shard.contig, shard.start, shard.end
        return [each for each in self.regions if each.contig == contig and each.start <= end and each.end >= start]

    def shards_of(self, store: Store) -> list[int]:
        """Return the shards of ``store`` with a region of the export, by their numbers."""
        if self.regions is None:
            return store.shards_in(None)
        overlaps = Overlaps(self.regions)  # an exome has 200,000 regions
        spans = [Region(shard.contig, shard.start, shard.end) for shard in store.shards]
        return [number for number, span in enumerate(spans) if overlaps.within(span)]


def export(
    store: Store,
    snapshot: Snapshot,
    *,
    format: str,
    output: Path,
    content: Content,
    engine: Engine | None = None,
    before_output: Callable[[], None] = lambda: None,
) -> None:
    """Write the cohort at ``snapshot`` to ``output`` in one of ``FORMATS``.

    ``before_output`` is called when all genotypes are read, before anything appears at ``output``.

    BCF, and VCF with a name that ends in ``.gz``, are BGZF with an index next to them. pgen makes ``output`` with
    ``.pvar`` and ``.psam``, zarr makes a folder. A second run after a kill goes on with the missing shards.

    Raises:
        InputRefused: the name of ``output`` does not fit the format, a program or package for it is missing, the
            mode of ``content`` is unknown, or the file has other records or samples than were encoded.
    """
    check_output(format, output)
    mode_number(content.mode)
    output = output.absolute()  # a cluster's workers have folders of their own
    output.parent.mkdir(parents=True, exist_ok=True)
    shards = content.shards_of(store)
    work = output.with_name(f"{output.name}.{_digest(store, snapshot, content)}.parts")
    work.mkdir(exist_ok=True)
    with reading(store, snapshot), (engine or Engine()).open() as map_tasks:
        map_tasks("exporting", partial(_run, store, snapshot, content, work, shards), len(shards))
    try:
        before_output()
    except InputRefused:
        shutil.rmtree(work)
        raise
    whole = work / "cohort.bcf"
    pieces = [work / f"{store.shards[shard].name}.piece" for shard in shards]
    join_pieces(store, snapshot, pieces, whole, without=content.without)
    {"bcf": _write_bcf, "vcf": _write_vcf, "pgen": write_pgen, "zarr": write_vcz}[format](
        store, snapshot, whole=whole, output=output
    )
    try:
        people = participants_of(store, snapshot, without=content.without)
        counts.require_whole(output, pieces=pieces, samples=len(people.ids))
    finally:
        shutil.rmtree(work)
    fsync_folder(output.parent)


def check_output(format: str, output: Path) -> None:
    """Raise InputRefused for a format that is unknown or cannot be made here, and for a name that does not fit it."""
    suffixes = {"vcf": (".vcf", ".vcf.gz"), "bcf": (".bcf",), "pgen": (".pgen",), "zarr": (".vcz", ".zarr")}
    if format not in suffixes:
        likely = next((own for own, names in OTHER_NAMES.items() if format.lower() in names), "")
        action = f"did you mean {likely}?" if likely else ""
        expected = f"one of {', '.join(FORMATS)}"
        raise InputRefused(Problem(file="--format", expected=expected, found=repr(format), action=action))
    if not output.name.endswith(suffixes[format]):
        raise InputRefused(
            Problem(
                file="--output",
                expected=f"a name that ends in {' or '.join(suffixes[format])} for --format {format}",
                found=repr(output.name),
            )
        )
    if output.is_dir() != (format == "zarr") and output.exists():
        raise InputRefused(Problem(file="--output", expected="a new name", found="something of another kind there"))
    if format == "pgen":
        tools.require("plink2")
    if format == "zarr":
        try:
            import bio2zarr  # noqa: F401
        except ImportError:
            raise InputRefused(
                Problem(
                    file="--format",
                    place="zarr",
                    expected="the package bio2zarr",
                    found="none",
                    action="install baekman[export]",
                )
            ) from None


def _digest(store: Store, snapshot: Snapshot, content: Content) -> str:
    parts = [sites_metadata(store, snapshot), {**asdict(content), "without": sorted(content.without)}]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _run(store: Store, snapshot: Snapshot, content: Content, work: Path, shards: Sequence[int], index: int) -> None:
    shard = shards[index]
    piece = work / f"{store.shards[shard].name}.piece"
    if not (piece.exists() and counts.note_of(piece).exists()):
        write_piece(store, snapshot, content=content, shard=shard, piece=piece)


def write_piece(store: Store, snapshot: Snapshot, *, content: Content, shard: int, piece: Path) -> None:
    """Write one shard's records to ``piece`` as BGZF blocks without header or end marker."""
    mode = mode_number(content.mode)
    contig = [contig.name for contig in store.contigs].index(store.shards[shard].contig)
    people = len(participants_of(store, snapshot, without=content.without).male)
    with atomic_file(piece) as temporary, temporary.open("wb") as raw:
        blocks = bgzf.BlockWriter(raw)
        number = 0
        if snapshot.number:
            sites = sites_within(read_sites(store, snapshot, shard), content.within(store.shards[shard]))
            for alleles in chunks(sites, wanted=_candidates(sites, mode), participants=people):
                evidence = read_evidence(store, snapshot, shard, alleles=alleles, without=content.without)
                if content.min_ac:
                    wanted = count(genotypes(evidence, mode=mode))[0] >= content.min_ac
                elif mode == JOINT or content.without or content.is_part:
                    wanted = count(genotypes(evidence, mode=JOINT if mode == JOINT else RAW))[0] > 0
                else:
                    wanted = _candidates(alleles, mode)
                for records in bcf.encode(
                    evidence, wanted=wanted, mode=mode, by_position=content.by_position, contig=contig
                ):
                    blocks.write(records)
                    number += counts.count_records(records)
        blocks.flush()
        write_text(counts.note_of(piece), str(number))


def _candidates(sites: pa.Table, mode: int) -> npt.NDArray[np.bool_]:
    """Return the alleles that may have a line: those of raw genotypes, or all, since any may be in a joint genotype."""
    if mode == JOINT:
        return np.ones(sites.num_rows, np.bool_)
    carried: npt.NDArray[np.bool_] = numpy_of(sites, "ac_raw") > 0
    return carried


def join_pieces(
    store: Store,
    snapshot: Snapshot,
    pieces: Sequence[Path],
    target: Path,
    *,
    without: frozenset[str] = frozenset(),
    names: Sequence[str] | None = None,
) -> None:
    """Write the header, the pieces and the end marker as a BCF file.

    ``names``: of the columns, which are in the order of IDs, in place of the IDs of participants.
    """
    columns = participants_of(store, snapshot, without=without).ids.to_pylist() if names is None else names
    with atomic_file(target) as temporary, temporary.open("wb") as raw:
        head = bgzf.BlockWriter(raw)
        head.write(bcf.header(store, columns))
        head.flush()
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, raw, 1 << 20)
        raw.write(bgzf.END)


def _publish(data: Path, index: Path, output: Path) -> None:
    """Move a file and its index to their places; an older index never lies next to newer data."""
    for suffix in (".csi", ".tbi"):
        output.with_name(output.name + suffix).unlink(missing_ok=True)
    data.replace(output)
    index.replace(output.with_name(output.name + index.suffix))


def _write_bcf(store: Store, snapshot: Snapshot, *, whole: Path, output: Path) -> None:
    pysam.bcftools.index("-f", str(whole))
    _publish(whole, whole.with_name(whole.name + ".csi"), output)


def _write_vcf(store: Store, snapshot: Snapshot, *, whole: Path, output: Path) -> None:
    compressed = output.name.endswith(".gz")
    text = whole.with_suffix(".vcf.gz" if compressed else ".vcf")
    flag = "-Oz" if compressed else "-Ov"
    subprocess.run([*tools.command("bcftools"), "view", "--no-version", flag, "-o", str(text), str(whole)], check=True)
    if not compressed:
        text.replace(output)
        return
    long = any(contig.length >= TBI_LIMIT for contig in store.contigs)
    pysam.bcftools.index("-f", "-c" if long else "-t", str(text))
    _publish(text, text.with_name(text.name + (".csi" if long else ".tbi")), output)
