"""The analyses of plink2: pruning, kinship, principal components with projection, heterozygosity."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from baekman.arrow import numpy_of
from baekman.relatedness.schema import (
    APPROXIMATE_FROM,
    LD_R2,
    LD_WINDOW_KB,
    LEAST_AF,
    LEAST_CALL_RATE,
    LEAST_KINSHIP,
    NUMBER_OF_COMPONENTS,
    USUAL_PEOPLE,
)
from baekman.tools import programs as tools

SEED = 1
LEAST_FOR_COMPONENTS = 3  # unrelated participants
LEAST_AF_OF_UNRELATED = 0.01


@dataclass(kw_only=True)
class Plink:
    """plink2 on one set of genotypes in a folder of work.

    ``options`` collects the options of each analysis, for the note on the results.
    """

    folder: Path
    autosomes: int
    threads: int
    memory_mb: int | None = None
    options: dict[str, str] = field(default_factory=dict)

    def run(self, analysis: str, *options: str, of: str) -> None:
        """Run an analysis of the pgen ``of``; its output has the name of the analysis.

        Raises RuntimeError with the last words of plink2 when it fails; they name files of the folder of work alone.
        """
        self.options[analysis] = " ".join(options)
        memory = ("--memory", str(self.memory_mb)) if self.memory_mb else ()
        done = subprocess.run(
            [
                tools.require("plink2"), "--pfile", of, *options, "--out", analysis, "--silent",
                "--autosome-num", str(self.autosomes), "--threads", str(self.threads), *memory,
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            errors="replace",
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"plink2, {analysis}: {' '.join((done.stdout + done.stderr).split())[-500:]}")

    def table(self, name: str) -> pa.Table:
        """Return a table that an analysis wrote; its IDs are text."""
        texts = dict.fromkeys(("#IID", "#IID1", "IID2", "REF", "ALT"), pa.string())
        with (self.folder / name).open("rb") as lines:
            head = next((number for number, line in enumerate(lines) if not line.startswith(b"##")), 0)
        return pacsv.read_csv(
            self.folder / name,
            read_options=pacsv.ReadOptions(skip_rows=head),
            parse_options=pacsv.ParseOptions(delimiter="\t"),
            convert_options=pacsv.ConvertOptions(column_types=texts, null_values=["nan", "NA", ""]),
        )

    def prune(self, *, people: int, of: str) -> int:
        """Write the pgen ``pruned`` with the common variants in linkage equilibrium; return their number.

        Fewer than ``USUAL_PEOPLE`` do not tell linkage from chance: their variants are far apart, and that is all.
        """
        common = ("--maf", str(LEAST_AF), "--geno", f"{1 - LEAST_CALL_RATE:g}")
        if people < USUAL_PEOPLE:
            self.run("prune", *common, "--write-snplist", of=of)
            kept = "prune.snplist"
        else:
            self.run("prune", *common, "--indep-pairwise", f"{LD_WINDOW_KB}kb", "1", str(LD_R2), of=of)
            kept = "prune.prune.in"
        lines = (self.folder / kept).read_bytes().count(b"\n")
        if lines:
            self.run("pruned", "--extract", kept, "--make-pgen", "pvar-cols=", of=of)
        return lines

    def kinship(self) -> pa.Table:
        """Return the pairs of relatives: ``IID1 IID2 NSNP HETHET IBS0 KINSHIP``."""
        columns = "cols=id,nsnp,hethet,ibs0,kinship"
        self.run("kinship", "--make-king-table", columns, "--king-table-filter", str(LEAST_KINSHIP), of="pruned")
        table = self.table("kinship.kin0")
        return table.rename_columns([name.removeprefix("#") for name in table.column_names])

    def heterozygosity(self) -> pa.Table:
        """Return ``IID`` and ``F`` of everyone, by the frequencies that ``components`` estimated."""
        self.run("heterozygosity", "--read-freq", "frequencies.afreq", "--het", of="pruned")
        table = self.table("heterozygosity.het")
        return table.rename_columns([name.removeprefix("#") for name in table.column_names]).select(["IID", "F"])

    def frequencies(self, unrelated: Sequence[str]) -> None:
        """Estimate the frequencies of alleles among the ``unrelated``."""
        (self.folder / "unrelated.txt").write_text("#IID\n" + "".join(f"{each}\n" for each in unrelated))
        self.run("frequencies", "--keep", "unrelated.txt", "--freq", of="pruned")

    def components(self, *, unrelated: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the components of everyone, in the order of the pgen: a row each, as many columns as there are.

        The components are made of the ``unrelated``, as vectors of length 1, with the frequencies of ``frequencies``.
        The others are projected on the weights of alleles. Signs are such that the largest value is positive.
        """
        people, number = len(unrelated), int(unrelated.sum())
        self.run(
            "common",
            "--keep", "unrelated.txt", "--read-freq", "frequencies.afreq", "--maf", str(LEAST_AF_OF_UNRELATED),
            "--write-snplist",
            of="pruned",
        )  # fmt: skip
        variants = (self.folder / "common.snplist").read_bytes().count(b"\n")
        count = min(NUMBER_OF_COMPONENTS, number - 1, variants - 1)
        if number < LEAST_FOR_COMPONENTS or count < 1:
            return np.empty((people, 0))
        extracted = ("--extract", "common.snplist", "--read-freq", "frequencies.afreq")
        approximate = ("approx",) if number >= APPROXIMATE_FROM else ()
        self.run(
            "components", "--keep", "unrelated.txt", *extracted,
            "--pca", "allele-wts", str(count), *approximate, "--seed", str(SEED),
            of="pruned",
        )  # fmt: skip
        names = [f"PC{place}" for place in range(1, count + 1)]
        own = _columns(self.table("components.eigenvec"), names)
        places = np.empty((people, count))
        places[unrelated] = own
        if number < people:
            self.run(
                "projection", *extracted,
                "--score", "components.eigenvec.allele", "2", "5", "header-read", "no-mean-imputation",
                "variance-standardize", "--score-col-nums", f"6-{5 + count}",
                of="pruned",
            )  # fmt: skip
            scores = _columns(self.table("projection.sscore"), [f"{name}_AVG" for name in names])
            # the scores of those who made the components are their places, but for a factor of each component
            factor = (scores[unrelated] * own).sum(axis=0) / (scores[unrelated] ** 2).sum(axis=0)
            places[~unrelated] = scores[~unrelated] * factor
        signs = np.sign(places[np.abs(places).argmax(axis=0), np.arange(count)])
        return np.asarray(places * signs)


def _columns(table: pa.Table, names: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.stack([numpy_of(table, name).astype(np.float64) for name in names], axis=1)
