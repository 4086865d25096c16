"""Population sites, and the alleles of reads at them: the data of the contamination estimate."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pysam

from baekman.errors import InputRefused, Problem
from baekman.genome.chromosomes import is_autosome
from baekman.genome.regions import Region
from baekman.genome.targets import Overlaps
from baekman.tools import programs as tools
from baekman.tools.pipes import piped

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PANEL_ENDINGS = (".UD", ".mu", ".bed")
MINIMUM_MAPPING_QUALITY = 20
MINIMUM_BASE_QUALITY = 20  # GA4GH's "high quality" base; mates' overlaps are counted once
MAXIMUM_BASE_QUALITY = 40  # as VerifyBamID: no base is trusted more
EXCLUDED_READS = "UNMAP,SECONDARY,QCFAIL,DUP,SUPPLEMENTARY"
MAXIMUM_SITES = 20_000  # VerifyBamID2's panels have 10,000 or 100,000 sites; more cost time and add little


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Biallelic SNVs in the order of the file, one array element per site.

    ``position`` is 1-based. ``frequency`` is that of ``alt`` in the population. ``loadings`` (sites x components)
    relate frequency to ancestry in a VerifyBamID2 panel; None without one.
    """

    contig: npt.NDArray[np.str_]
    position: Integers
    ref: npt.NDArray[np.str_]
    alt: npt.NDArray[np.str_]
    frequency: Floats
    loadings: Floats | None = None

    def __len__(self) -> int:
        return len(self.position)

    def select(self, keep: npt.NDArray[Any]) -> Sites:
        """Return the sites of ``keep``, a mask or indices."""
        return Sites(
            contig=self.contig[keep],
            position=self.position[keep],
            ref=self.ref[keep],
            alt=self.alt[keep],
            frequency=self.frequency[keep],
            loadings=None if self.loadings is None else self.loadings[keep],
        )


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Reads by allele at each site.

    ``ref`` and ``alt`` are sites x quality classes, ``other`` is per site. ``error`` is the probability of a wrong
    base in each class, from its phred quality.
    """

    ref: Integers
    alt: Integers
    other: Integers
    error: Floats

    @property
    def depth(self) -> Integers:
        """Return the number of reads per site that show one of the two alleles."""
        return np.asarray(self.ref.sum(axis=1) + self.alt.sum(axis=1))

    def select(self, keep: npt.NDArray[Any]) -> Counts:
        """Return the counts at the sites of ``keep``, a mask or indices."""
        return Counts(ref=self.ref[keep], alt=self.alt[keep], other=self.other[keep], error=self.error)


def panel_prefix(path: Path) -> Path | None:
    """Return the prefix of the VerifyBamID2 panel (``.UD .mu .bed``) that ``path`` belongs to, or None."""
    if path.suffix not in PANEL_ENDINGS:
        return None
    prefix = path.with_suffix("")
    present = [Path(f"{prefix}{ending}").is_file() for ending in PANEL_ENDINGS]
    return prefix if all(present) else None


def read_sites(path: Path, *, regions: Iterable[Region] | None = None) -> Sites:
    """Return the autosomal, biallelic SNVs of ``path``: a VCF with INFO/AF, or any file of a VerifyBamID2 panel.

    They are at most ``MAXIMUM_SITES``, spread evenly over the file. With ``regions`` (disjoint), they are those within
    them, which may be none. Raises ``InputRefused`` when the file has none.
    """
    prefix = panel_prefix(path)
    sites = _read_panel(prefix) if prefix else _read_vcf(path)
    autosomal = np.array([is_autosome(contig) for contig in sites.contig.tolist()], dtype=bool)
    variable = (sites.frequency > 0) & (sites.frequency < 1)
    sites = sites.select(autosomal & variable)
    if len(sites) == 0:
        raise InputRefused(
            Problem(
                file=path.name,
                expected="biallelic SNVs on autosomes with INFO/AF between 0 and 1, or a VerifyBamID2 panel",
                found="no such site",
                action="give another file as contamination_sites, or null to leave contamination unassessed",
            )
        )
    if regions is not None:
        overlaps = Overlaps(regions)
        places = zip(sites.contig.tolist(), sites.position.tolist(), strict=True)
        sites = sites.select(np.array([bool(overlaps.within(Region(c, p, p))) for c, p in places], dtype=bool))
    if len(sites) > MAXIMUM_SITES:
        sites = sites.select(np.linspace(0, len(sites) - 1, MAXIMUM_SITES).astype(np.int64))
    return sites


def _read_vcf(path: Path) -> Sites:
    with pysam.VariantFile(str(path)) as file:
        if "AF" not in file.header.info:
            raise InputRefused(
                Problem(
                    file=path.name,
                    place="header",
                    expected="a VCF with INFO/AF, the frequency of ALT in the population",
                    found="no INFO line for AF",
                    action="fill AF in with bcftools +fill-tags, or give another file",
                )
            )
    text = piped(
        [*tools.command("bcftools"), "query", "-f", r"%CHROM\t%POS\t%REF\t%ALT\t%INFO/AF\n", path],
    )
    table = _table(
        text,
        {"contig": pa.string(), "pos": pa.int64()} | {name: pa.string() for name in ("ref", "alt", "frequency")},
    )
    snv = pc.and_(
        pc.and_(
            pc.match_substring_regex(table["ref"], "^[ACGT]$"),
            pc.match_substring_regex(table["alt"], "^[ACGT]$"),
        ),
        pc.match_substring_regex(table["frequency"], r"^[0-9.eE+-]*[0-9][0-9.eE+-]*$"),
    )
    table = table.filter(snv)
    return Sites(
        contig=np.array(table["contig"].to_pylist(), dtype=np.str_),
        position=table["pos"].to_numpy(),
        ref=np.array(table["ref"].to_pylist(), dtype=np.str_),
        alt=np.array(table["alt"].to_pylist(), dtype=np.str_),
        frequency=table["frequency"].cast(pa.float64()).to_numpy(),
    )


def _read_panel(prefix: Path) -> Sites:
    """Read a panel: ``.bed`` (contig, start, end, ref, alt), ``.mu`` (mean ALT copies), ``.UD`` (loadings).

    The lines of the three files correspond. A site's frequency is (loadings · coordinates + mean) / 2
    (VerifyBamID2, Zhang et al. 2020, Genome Res 30:185).
    """
    bed = _table(
        Path(f"{prefix}.bed").read_bytes(),
        {
            "contig": pa.string(),
            "start": pa.int64(),
            "end": pa.int64(),
            "ref": pa.string(),
            "alt": pa.string(),
        },
    )
    means = np.loadtxt(f"{prefix}.mu", usecols=1, ndmin=1)
    loadings = np.loadtxt(f"{prefix}.UD", ndmin=2)
    if not len(bed) == len(means) == len(loadings):
        raise InputRefused(
            Problem(
                file=prefix.name,
                expected="as many lines in .bed, .mu and .UD",
                found=f"{len(bed)}, {len(means)} and {len(loadings)}",
                action="fetch the panel again",
            )
        )
    return Sites(
        contig=np.array(bed["contig"].to_pylist(), dtype=np.str_),
        position=bed["end"].to_numpy(),
        ref=np.array(bed["ref"].to_pylist(), dtype=np.str_),
        alt=np.array(bed["alt"].to_pylist(), dtype=np.str_),
        frequency=means / 2,
        loadings=loadings,
    )


def count_alleles(cram: Path, *, reference: Path, sites: Sites) -> Counts:
    """Count reads by allele and base quality at ``sites``, in an indexed CRAM or BAM of ``reference``.

    Only the slices that hold a site are read. Secondary, supplementary and duplicate reads, reads of mapping
    quality below 20 and bases of quality below 20 do not count. A base in both mates' reads counts once. Raises
    ``InputRefused`` when the reference has no contig of the sites.
    """
    _check_contigs(sites, reference)
    samtools = tools.command("samtools")
    with tempfile.TemporaryDirectory() as folder:
        bed = Path(folder) / "sites.bed"
        # samtools itself sorts it in the reference's order; a repeated position does no harm
        bed.write_text(
            "".join(
                f"{contig}\t{position - 1}\t{position}\n"
                for contig, position in zip(sites.contig.tolist(), sites.position.tolist(), strict=True)
            ),
            encoding="ascii",
        )
        text = piped(
            [*samtools, "view", "-u", "-M", "-L", bed, "-T", reference, cram],
            [
                *samtools,
                "mpileup",
                *("-l", bed, "-f", reference),
                *("-q", str(MINIMUM_MAPPING_QUALITY), "-Q", str(MINIMUM_BASE_QUALITY)),
                *("--ff", EXCLUDED_READS, "-"),
            ],
        )
    return counts_of_mpileup(text, sites=sites)


def _check_contigs(sites: Sites, reference: Path) -> None:
    with pysam.FastaFile(str(reference)) as fasta:
        present = set(fasta.references)
    if present.isdisjoint(sites.contig.tolist()):
        raise InputRefused(
            Problem(
                file="contamination_sites",
                expected=f"sites on contigs of the reference {reference.name}",
                found=f"none there; the first lies on {sites.contig[0]}",
                action="give a file for this reference, with its contig names",
            )
        )


def counts_of_mpileup(text: bytes, *, sites: Sites) -> Counts:
    """Return the counts at ``sites`` from the six columns of ``samtools mpileup -f``; 0 at sites not listed.

    Deletions and reference skips are no reads. A base that is neither allele, or is N, counts as other.
    """
    index = {
        place: number for number, place in enumerate(zip(sites.contig.tolist(), sites.position.tolist(), strict=True))
    }
    table = _table(
        text,
        {"contig": pa.string(), "pos": pa.int64(), "ref": pa.string(), "n": pa.int64()}
        | {"bases": pa.string(), "qualities": pa.string()},
    )
    rows = np.array(
        [index.get(place, -1) for place in zip(table["contig"].to_pylist(), table["pos"].to_pylist(), strict=True)],
        dtype=np.int64,
    )
    # a site without reads has "*" in both columns
    listed = (rows >= 0) & (table["n"].to_numpy() > 0)
    table, rows = table.filter(pa.array(listed)), rows[listed]
    depth = table["n"].to_numpy()
    bases = _bytes(_plain_bases("\n".join(table["bases"].to_pylist())).replace("\n", ""))
    qualities = _bytes("".join(table["qualities"].to_pylist())).astype(np.int64) - 33
    if not len(bases) == len(qualities) == depth.sum():
        raise ValueError("samtools mpileup: the columns of bases and qualities differ in length")
    site = np.repeat(rows, depth)
    reference = np.repeat(_bytes("".join(table["ref"].to_pylist()).upper()), depth)
    matches = (bases == ord(".")) | (bases == ord(","))
    bases = np.where(matches, reference, bases & ~np.uint8(0x20))  # upper case
    letters = (bases >= ord("A")) & (bases <= ord("Z"))
    site, bases, qualities = site[letters], bases[letters], qualities[letters]
    return _tally(site, bases, np.minimum(qualities, MAXIMUM_BASE_QUALITY), sites)


def _tally(site: Integers, bases: npt.NDArray[np.uint8], qualities: Integers, sites: Sites) -> Counts:
    ref = _bytes("".join(sites.ref.tolist()))[site] == bases
    alt = _bytes("".join(sites.alt.tolist()))[site] == bases
    classes, quality_class = np.unique(qualities, return_inverse=True)
    shape = (len(sites), len(classes))
    cell = site * len(classes) + quality_class

    def tally(is_allele: npt.NDArray[np.bool_]) -> Integers:
        return np.bincount(cell[is_allele], minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)

    return Counts(
        ref=tally(ref),
        alt=tally(alt),
        other=np.bincount(site[~(ref | alt)], minlength=len(sites)).astype(np.int64),
        error=10.0 ** (-classes / 10.0),
    )


_READ_MARKS = re.compile(r"\^.|\$")
_INDEL = re.compile(r"[+-](\d+)([A-Za-z*#]+)")


def _plain_bases(column: str) -> str:
    """Return one character per read, without indels and the marks of reads' starts (with mapping quality) and ends."""
    return _INDEL.sub(lambda match: match[2][int(match[1]) :], _READ_MARKS.sub("", column))


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("ascii"), dtype=np.uint8)


def _table(text: bytes, columns: dict[str, pa.DataType]) -> pa.Table:
    """Return a tab-separated text without header or quoting as a table of ``columns``."""
    if not text:
        return pa.schema(list(columns.items())).empty_table()
    return pa.csv.read_csv(
        io.BytesIO(text),
        read_options=pa.csv.ReadOptions(column_names=list(columns)),
        parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pa.csv.ConvertOptions(column_types=columns, strings_can_be_null=False),
    )
