"""The cohort as one multi-sample file: BCF and VCF with a column per participant, and from these pgen and zarr.

One task per shard writes a piece of BGZF-compressed records; put one behind the other, after the header, they are
the file, whoever wrote them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pysam.bcftools

from baekman.arrow import numpy_of
from baekman.cohort.batch import read_roster
from baekman.cohort.commit import sites_metadata
from baekman.cohort.dense_genotypes import JOINT, MODES, chunks, count, genotypes, participants_of, read_evidence
from baekman.cohort.snapshot import Snapshot, read_sites, reading
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.export import bcf
from baekman.files import bgzf
from baekman.files.atomic import atomic_file, fsync_folder
from baekman.genome.regions import Region
from baekman.tools import programs as tools

FORMATS = ("vcf", "bcf", "pgen", "zarr")
TBI_LIMIT = 1 << 29  # the longest contig that a .tbi index can hold
PGEN_FILES = (".pgen", ".pvar", ".psam")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What an export shows: ``mode`` is called, raw or joint; ``by_position`` one site per line."""

    region: Region | None = None
    mode: str = "called"
    by_position: bool = False


def export(
    store: Store, snapshot: Snapshot, *, format: str, output: Path, content: Content, engine: Engine | None = None
) -> None:
    """Write the cohort at ``snapshot`` to ``output`` in one of ``FORMATS``.

    VCF whose name ends in ``.gz`` and BCF are BGZF with an index beside them. pgen makes ``output`` with
    ``.pvar`` and ``.psam`` beside it, zarr a folder. Run again after a kill it goes on with the shards that are
    missing. Raises InputRefused when the output cannot be of that format.
    """
    _check_output(format, output)
    output = output.absolute()  # a cluster's workers have folders of their own
    output.parent.mkdir(parents=True, exist_ok=True)
    shards = store.shards_in(content.region)
    work = output.with_name(f"{output.name}.{_digest(store, snapshot, content)}.parts")
    work.mkdir(exist_ok=True)
    with reading(store, snapshot), (engine or Engine()).open() as map_tasks:
        map_tasks("exporting", partial(_run, store, snapshot, content, work, shards), len(shards))
    whole = work / "cohort.bcf"
    join_pieces(store, snapshot, [work / f"{store.shards[shard].name}.piece" for shard in shards], whole)
    {"bcf": _finish_bcf, "vcf": _finish_vcf, "pgen": _finish_pgen, "zarr": _finish_zarr}[format](
        store, snapshot, whole, output
    )
    shutil.rmtree(work)
    fsync_folder(output.parent)


def _check_output(format: str, output: Path) -> None:
    suffixes = {"vcf": (".vcf", ".vcf.gz"), "bcf": (".bcf",), "pgen": (".pgen",), "zarr": (".vcz", ".zarr")}
    if format not in suffixes:
        raise InputRefused(Problem(file="--format", expected=f"one of {', '.join(FORMATS)}", found=repr(format)))
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
    parts = [sites_metadata(store, snapshot), asdict(content)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _run(store: Store, snapshot: Snapshot, content: Content, work: Path, shards: Sequence[int], index: int) -> None:
    shard = shards[index]
    piece = work / f"{store.shards[shard].name}.piece"
    if not piece.exists():
        write_piece(store, snapshot, content=content, shard=shard, piece=piece)


def write_piece(store: Store, snapshot: Snapshot, *, content: Content, shard: int, piece: Path) -> None:
    """Write one shard's records to ``piece`` as BGZF blocks without header or end marker."""
    mode = MODES[content.mode]
    contig = [contig.name for contig in store.contigs].index(store.shards[shard].contig)
    people = len(participants_of(store, snapshot).ids)
    with atomic_file(piece) as temporary, temporary.open("wb") as raw:
        blocks = bgzf.BlockWriter(raw)
        if snapshot.number:
            sites = _in_region(read_sites(store, snapshot, shard), content.region)
            for alleles in chunks(sites, _candidates(sites, mode), people):
                evidence = read_evidence(store, snapshot, shard, alleles=alleles)
                if mode == JOINT:
                    wanted = count(genotypes(evidence, mode=mode))[0] > 0
                else:
                    wanted = _candidates(alleles, mode)
                for records in bcf.encode(
                    evidence, wanted=wanted, mode=mode, by_position=content.by_position, contig=contig
                ):
                    blocks.write(records)
        blocks.flush()


def _candidates(sites: pa.Table, mode: int) -> npt.NDArray[np.bool_]:
    """Alleles that may have a line: those of the raw genotypes; any may turn up in a joint one."""
    if mode == JOINT:
        return np.ones(sites.num_rows, np.bool_)
    carried: npt.NDArray[np.bool_] = numpy_of(sites, "ac_raw") > 0
    return carried


def _in_region(sites: pa.Table, region: Region | None) -> pa.Table:
    if region is None:
        return sites
    first, last = np.searchsorted(numpy_of(sites, "pos"), [region.start, region.end + 1])
    return sites.slice(first, last - first).combine_chunks()


def join_pieces(store: Store, snapshot: Snapshot, pieces: Sequence[Path], target: Path) -> None:
    """Put the header, the pieces and the end marker together as a BCF file."""
    with atomic_file(target) as temporary, temporary.open("wb") as raw:
        head = bgzf.BlockWriter(raw)
        head.write(bcf.header(store, participants_of(store, snapshot).ids.to_pylist()))
        head.flush()
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, raw, 1 << 20)
        raw.write(bgzf.END)


def _publish(data: Path, index: Path, output: Path) -> None:
    """Put a file and its index where they belong; an older index never stands beside newer data."""
    for suffix in (".csi", ".tbi"):
        output.with_name(output.name + suffix).unlink(missing_ok=True)
    data.replace(output)
    index.replace(output.with_name(output.name + index.suffix))


def _finish_bcf(store: Store, snapshot: Snapshot, whole: Path, output: Path) -> None:
    pysam.bcftools.index("-f", str(whole))
    _publish(whole, whole.with_name(whole.name + ".csi"), output)


def _finish_vcf(store: Store, snapshot: Snapshot, whole: Path, output: Path) -> None:
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


def _finish_pgen(store: Store, snapshot: Snapshot, whole: Path, output: Path) -> None:
    if not any(piece.stat().st_size for piece in whole.parent.glob("*.piece")):
        shutil.rmtree(whole.parent)
        raise InputRefused(
            Problem(
                file="--format",
                place="pgen",
                expected="a line to write at least: plink2 makes no file of none",
                found="nobody who carries an allele there",
                action="choose another region, or --format bcf",
            )
        )
    sexes = whole.with_name("sex.tsv")
    code = {"male": "1", "female": "2"}
    with sexes.open("w") as out:
        out.write("#IID\tSEX\n")
        for entry in snapshot.batches:
            roster, _ = read_roster(store, entry.name)
            for participant, sex in zip(roster["participant_id"].to_pylist(), roster["sex"].to_pylist(), strict=True):
                out.write(f"{participant}\t{code.get(sex, 'NA')}\n")
    prefix = whole.with_name("pgen")
    # plink2 knows human contigs by number and would write them so; the cohort's names stay as they are
    style = "chrM" if any(contig.name.startswith("chr") for contig in store.contigs) else "MT"
    done = subprocess.run(
        [
            tools.require("plink2"), "--bcf", str(whole), "--make-pgen", "--out", str(prefix), "--allow-extra-chr",
            "--output-chr", style, "--set-all-var-ids", "@:#:$r:$a", "--new-id-max-allele-len", "200", "truncate",
            "--vcf-half-call", "missing", "--update-sex", str(sexes), "--silent",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        told = " ".join((done.stdout + done.stderr).split())
        if limit := re.search(r"has (\d+) alleles; this build of plink2 is limited to (\d+)", told):
            shutil.rmtree(whole.parent)
            raise InputRefused(
                Problem(
                    file="--format",
                    place="pgen",
                    expected=f"sites of at most {limit[2]} alleles: plink2 reads no more",
                    found=f"one of {limit[1]}",
                    action="leave out --sites, or take --format bcf",
                )
            )
        raise RuntimeError(f"plink2 could not make a pgen: {told}")
    for suffix in reversed(PGEN_FILES):
        prefix.with_suffix(suffix).replace(output.with_suffix(suffix))


def _finish_zarr(store: Store, snapshot: Snapshot, whole: Path, output: Path) -> None:
    from bio2zarr import vcf

    pysam.bcftools.index("-f", str(whole))
    made = whole.with_name("cohort.vcz")
    shutil.rmtree(made, ignore_errors=True)
    vcf.convert([str(whole)], str(made), icf_path=str(whole.with_name("icf")), worker_processes=0)
    shutil.rmtree(output, ignore_errors=True)
    made.replace(output)
