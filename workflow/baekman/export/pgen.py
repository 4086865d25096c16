"""The cohort as plink2's pgen, with the sexes of the rosters."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pysam.bcftools

from baekman.cohort.dense_genotypes import participants_of
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.genome.chromosomes import chromosome_kind
from baekman.tools import programs as tools

FILES = (".pgen", ".pvar", ".psam")
SEX_CODES = ("0", "23", "24", "25", "26", "XY", "PAR1", "PAR2")  # names of other chromosomes for plink2
SEX_CODE = {"male": "1", "female": "2"}
LONGEST_IN_ID = 200  # letters of an allele in a variant's ID
LONGEST_ID = 8000  # plink2 reads IDs of 16,000 letters


def write_pgen(store: Store, snapshot: Snapshot, *, whole: Path, output: Path) -> None:
    """Convert the BCF file ``whole``, which lies in a folder of work, to ``output`` with its ``.pvar`` and ``.psam``.

    Sexes are those of the roster. Contigs keep the names that the cohort gives them, except where plink2 knows another
    name for a sex chromosome: PARs are PAR1 and PAR2.

    Raises:
        InputRefused: there is no allele to write, or a position has more alleles than plink2 reads.
        RuntimeError: plink2 failed otherwise.
    """
    if not any(piece.stat().st_size for piece in whole.parent.glob("*.piece")):
        shutil.rmtree(whole.parent)
        raise InputRefused(
            Problem(
                file="--format",
                place="pgen",
                expected="at least one allele to write: plink2 makes no empty file",
                found="no carrier of any allele there",
                action="choose another region, or --format bcf",
            )
        )
    if "0" in participants_of(store, snapshot).ids.to_pylist():
        shutil.rmtree(whole.parent)
        raise InputRefused(
            Problem(
                file="--format",
                place="pgen",
                expected="participants with an ID other than 0: for plink2 it is a missing ID",
                found="a participant 0",
                action="take --format bcf",
            )
        )
    sexes = whole.with_name("sex.tsv")
    _write_sexes(store, snapshot, sexes)
    prefix = whole.with_name("pgen")
    convert(store, whole, prefix, sexes=sexes)
    for suffix in reversed(FILES):
        prefix.with_suffix(suffix).replace(output.with_suffix(suffix))


def convert(store: Store, whole: Path, prefix: Path, *, sexes: Path, options: Sequence[str] = ()) -> None:
    """Convert the BCF file ``whole``, which has a record, to pgen at ``prefix``, next to it.

    ``sexes``: a file as plink2's --update-sex reads it. ``options``: of plink2, after --make-pgen.

    Raises:
        InputRefused: a position has more alleles than plink2 reads.
        RuntimeError: plink2 failed otherwise.
    """
    done = subprocess.run(
        [
            tools.require("plink2"), "--bcf", str(whole), "--make-pgen", *options, "--out", str(prefix),
            "--allow-extra-chr", "--vcf-half-call", "missing", "--update-sex", str(sexes), "--silent",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise _failure(" ".join((done.stdout + done.stderr).split()), work=whole.parent)
    _write_variants(store, whole, prefix.with_suffix(".pvar"))


def _write_variants(store: Store, whole: Path, pvar: Path) -> None:
    """Write the chromosomes and IDs of plink2's ``pvar``, which has a line per record of the BCF file ``whole``.

    Raises RuntimeError when it has another number of lines.
    """
    pysam.bcftools.index("-f", str(whole))
    counts = [row.split("\t") for row in pysam.bcftools.index("--stats", str(whole)).splitlines()]
    named = [chromosome for name, _, number in counts for chromosome in [_Chromosome(store, name)] * int(number)]
    renamed = pvar.with_name("renamed.pvar")
    with pvar.open() as lines, renamed.open("w") as out:
        variants = 0
        for line in lines:
            if line.startswith("#"):
                out.write(line)
                continue
            if variants == len(named):
                raise RuntimeError("plink2 wrote more variants than it read")
            _, pos, _, ref, alt, *rest = line.rstrip("\n").split("\t", 5)
            code, name = named[variants].code(int(pos)), named[variants].name
            out.write("\t".join([code, pos, variant_id(name, pos, ref, alt), ref, alt, *rest]) + "\n")
            variants += 1
    if variants != len(named):
        raise RuntimeError(f"plink2 wrote {variants} variants of {len(named)}")
    renamed.replace(pvar)


def variant_id(contig: str, pos: str, ref: str, alt: str) -> str:
    """Return ``contig:pos:ref:alt`` with every ALT.

    A long allele is its first letters, its length and 12 digits of its SHA-256.
    """
    alleles = [
        allele
        if len(allele) <= LONGEST_IN_ID
        else f"{allele[:20]}~{len(allele)}~{hashlib.sha256(allele.encode()).hexdigest()[:12]}"
        for allele in (ref, *alt.split(","))
    ]
    name = ":".join([contig, pos, *alleles])
    return name if len(name) <= LONGEST_ID else f"{contig}:{pos}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class _Chromosome:
    """A contig as plink2 knows it: it counts X, Y and MT by sex, and X without its PARs, which are PAR1 and PAR2."""

    def __init__(self, store: Store, contig: str) -> None:
        self.name = contig
        kind = chromosome_kind(contig)
        bare = contig.removeprefix("chr").upper()
        self._code = contig
        if kind != "autosome" and bare not in ("X", "Y", "M", "MT"):
            self._code = kind
        elif kind == "autosome" and bare in SEX_CODES:
            self._code = f"contig_{contig}"
        self._par1_end, self._par2_start = 0, 1 << 40
        if kind == "X":
            middle = next(one.length for one in store.contigs if one.name == contig) / 2
            pars = [region for region in store.par_regions if chromosome_kind(region.contig) == "X"]
            self._par1_end = max((region.end for region in pars if region.end <= middle), default=0)
            self._par2_start = min((region.start for region in pars if region.end > middle), default=1 << 40)

    def code(self, pos: int) -> str:
        """Return the chromosome code of a position."""
        if pos <= self._par1_end:
            return "PAR1"
        return "PAR2" if pos >= self._par2_start else self._code


def _write_sexes(store: Store, snapshot: Snapshot, output: Path) -> None:
    """Write the participants' sexes as plink2 reads them: 1 male, 2 female."""
    with output.open("w") as out:
        out.write("#IID\tSEX\n")
        for entry in snapshot.batches:
            roster, _ = read_roster(store, entry.name)
            for participant, sex in zip(roster["participant_id"].to_pylist(), roster["sex"].to_pylist(), strict=True):
                out.write(f"{participant}\t{SEX_CODE.get(sex, 'NA')}\n")


def _failure(output: str, *, work: Path) -> Exception:
    """Return the exception for a failure of plink2; ``work`` is deleted when another run would fail too."""
    limit = re.search(r"has (\d+) alleles; this build of plink2 is limited to (\d+)", output)
    if limit is None:
        return RuntimeError(f"plink2 could not make a pgen: {output}")
    shutil.rmtree(work)
    return InputRefused(
        Problem(
            file="--format",
            place="pgen",
            expected=f"sites of at most {limit[2]} alleles: plink2 reads no more",
            found=f"a site of {limit[1]}",
            action="leave out --sites, or take --format bcf",
        )
    )
