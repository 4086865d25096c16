"""Contamination: the share of a specimen's reads that come from another person, by this package or VerifyBamID2."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from baekman.files import atomic
from baekman.genome.regions import Region

MINIMUM_SITES = 100  # with reads; with fewer, the interval is wider than the span from accept to reject
MINIMUM_DEPTH = 4.0  # mean, over those sites
AT_BOUNDARY = 0.49
COMPONENTS = 4  # of ancestry: VerifyBamID2's default, and GA4GH's definition


Failure = Literal[
    "too_few_sites",
    "too_shallow",
    "at_boundary",
    "no_convergence",
    "sites_do_not_fit",
    "too_uncertain",
    "verifybamid2_failed",
    "no_sites_configured",
    "no_reads",
]
# With these failures the estimator did not run; with any other it ran without a result.
NOT_ASKED: tuple[Failure, ...] = ("no_sites_configured", "no_reads")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate of contamination.

    Attributes:
        alpha: the contaminating share of reads (0-0.5); None when ``failure`` has the reason.
        failure: the reason why there is no ``alpha``.
        low: the lower end of the 95 % confidence interval (profile likelihood).
        high: its upper end.
        sites: the number of sites that the estimate used.
        depth: their mean depth.
        error: the mean probability of a wrong base.
        outliers: the share of sites that no mixture explains.
        ancestry: coordinates in the panel's components.
        method: the estimator.
    """

    alpha: float | None
    failure: Failure | None = None
    low: float | None = None
    high: float | None = None
    sites: int = 0
    depth: float = 0.0
    error: float | None = None
    outliers: float | None = None
    ancestry: tuple[float, ...] | None = None
    method: Literal["baekman", "verifybamid2"] = "baekman"


def assess(
    cram: Path | None, *, reference: Path, sites: Path | None, regions: Iterable[Region] | None = None
) -> Estimate:
    """Return the contamination of an indexed CRAM or BAM at ``sites`` (VCF with INFO/AF, or a panel).

    With ``regions``, only the sites within them count. VerifyBamID2 estimates it where it is installed, ``sites`` is
    its panel, and there are no ``regions``.

    Raises:
        InputRefused: the sites do not fit the reference, a fault of the configuration and not of the specimen.
    """
    if cram is None:
        return Estimate(alpha=None, failure="no_reads")
    if sites is None:
        return Estimate(alpha=None, failure="no_sites_configured")
    # SciPy and Arrow take a second to import, which a job without sites need not spend
    from baekman.qc.mixture import estimate
    from baekman.qc.pileup import count_alleles, panel_prefix, read_sites

    prefix, program = panel_prefix(sites), verifybamid2()
    if prefix and program and regions is None:
        return _run_verifybamid2(program, cram=cram, reference=reference, prefix=prefix)
    population = read_sites(sites, regions=regions)
    if not len(population):
        return Estimate(alpha=None, failure="too_few_sites")
    counts = count_alleles(cram, reference=reference, sites=population)
    return estimate(counts, frequency=population.frequency, loadings=population.loadings)


def measure(
    cram: Path | None, *, reference: Path, sites: Path | None, output: Path, regions: Iterable[Region] | None = None
) -> Estimate:
    """Write the result of ``assess`` to ``output``, a JSON object with the fields of ``Estimate``, and return it."""
    result = assess(cram, reference=reference, sites=sites, regions=regions)
    atomic.write_text(output, json.dumps(asdict(result), indent=1) + "\n")
    return result


def read_estimate(path: Path) -> Estimate:
    """Return the estimate in a file of ``measure``."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if value["ancestry"] is not None:
        value["ancestry"] = tuple(value["ancestry"])
    return Estimate(**value)


def verifybamid2() -> str | None:
    """Return the path of VerifyBamID2, under bioconda's name or its own; None when it is not installed."""
    return shutil.which("verifybamid2") or shutil.which("VerifyBamID")


def _run_verifybamid2(program: str, *, cram: Path, reference: Path, prefix: Path) -> Estimate:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "verifybamid2"
        ended = subprocess.run(
            [
                program,
                *("--SVDPrefix", str(prefix), "--Reference", str(reference), "--BamFile", str(cram)),
                *("--NumPC", str(COMPONENTS), "--Output", str(output)),
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        written = Path(f"{output}.selfSM")
        if ended.returncode != 0 or not written.is_file():
            return Estimate(alpha=None, failure="verifybamid2_failed", method="verifybamid2")
        return estimate_of_self_sm(written.read_text(encoding="utf-8"))


def estimate_of_self_sm(text: str) -> Estimate:
    """Return the estimate in a ``.selfSM`` of VerifyBamID2: a header line and one line, tab-separated."""
    lines = text.splitlines()
    try:
        row = dict(zip(lines[0].lstrip("#").split("\t"), lines[1].split("\t"), strict=True))
        alpha, sites, depth = float(row["FREEMIX"]), int(row["#SNPS"]), float(row["AVG_DP"])
    except (IndexError, KeyError, ValueError):
        return Estimate(alpha=None, failure="verifybamid2_failed", method="verifybamid2")
    failure: Failure | None = None
    if sites < MINIMUM_SITES:
        failure = "too_few_sites"
    elif not depth >= MINIMUM_DEPTH:
        failure = "too_shallow"
    elif not 0 <= alpha <= 1:
        failure = "no_convergence"
    elif alpha >= AT_BOUNDARY:
        failure = "at_boundary"
    return Estimate(alpha=None if failure else alpha, failure=failure, sites=sites, depth=depth, method="verifybamid2")
