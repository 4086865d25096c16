"""Contamination: the share of a specimen's reads that come from another person.

The likelihood is that of VerifyBamID (Jun et al. 2012, Am J Hum Genet 91:839). Each site's reads come from two people
in the shares 1 - alpha and alpha. Their genotypes g1 and g2 are unknown and in Hardy-Weinberg proportion at the
site's population frequency. Two additions handle sites that no mixture explains (paralogous or misaligned reads).
A site is an outlier with a probability that is estimated too; an outlier shows each allele fraction with equal
probability. A site weighs at most ``MAXIMUM_WEIGHT`` reads, since reads at several hundred-fold depth are no
independent draws.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import betaln, logsumexp

from baekman.files import atomic
from baekman.genome.regions import Region
from baekman.qc.pileup import Counts, Floats, count_alleles, panel_prefix, read_sites

MINIMUM_SITES = 100  # with reads; with fewer, the interval is wider than the span from accept to reject
MINIMUM_DEPTH = 4.0  # mean, over those sites
MAXIMUM_WEIGHT = 100  # reads
MAXIMUM_OTHER = 0.1  # a site with more reads of a third allele is no biallelic site in this specimen
MAXIMUM_OUTLIERS = 0.25  # with more, the sites do not belong to this reference or these reads
MAXIMUM_INTERVAL = 0.02  # width of the 95 % interval (or as wide as alpha itself): the span from accept to reject
UPPER = 0.5  # above it, the other person is the specimen's own
AT_BOUNDARY = 0.49
COMPONENTS = 4  # of ancestry: VerifyBamID2's default, and GA4GH's definition
FREQUENCY_LIMITS = (0.005, 0.995)  # no allele counts as absent from a population, or as fixed in it

_ALT_SHARE = np.array([0.0, 0.5, 1.0])  # of a genotype's chromosomes
_GRID = np.array([0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.33, 0.42, UPPER])
_HALF_CHI_SQUARE = 1.9207  # half the 95 % quantile of chi-square with one degree of freedom

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


def estimate(counts: Counts, *, frequency: Floats, loadings: Floats | None = None) -> Estimate:
    """Return the maximum-likelihood share of contaminating reads in ``counts``.

    ``frequency`` is that of ALT at each site. With ``loadings`` (sites x components) the search for the specimen's
    ancestry starts at ``frequency``, and both people have the same ancestry. Poor data raise no error: they give an
    estimate with a ``failure``.
    """
    depth = counts.depth
    usable = (depth > 0) & (counts.other <= MAXIMUM_OTHER * (depth + counts.other))
    sites, mean_depth = int(usable.sum()), float(depth[usable].mean()) if usable.any() else 0.0
    if sites < MINIMUM_SITES:
        return Estimate(alpha=None, failure="too_few_sites", sites=sites, depth=mean_depth)
    if mean_depth < MINIMUM_DEPTH:
        return Estimate(alpha=None, failure="too_shallow", sites=sites, depth=mean_depth)
    model = _Model(counts.select(usable))
    frequency = frequency[usable]
    ancestry: Floats | None = None
    if loadings is None:
        fit = model.fit(_genotype_priors(frequency))
    else:
        fit, ancestry = _fit_with_ancestry(model, frequency=frequency, loadings=loadings[usable])
    low, high = model.interval(fit) if fit.converged else (0.0, UPPER)
    return Estimate(
        alpha=None if (failure := _failure(fit, low, high)) else fit.alpha,
        failure=failure,
        low=low,
        high=high,
        sites=sites,
        depth=mean_depth,
        error=model.mean_error,
        outliers=fit.outliers,
        ancestry=None if ancestry is None else tuple(ancestry.tolist()),
    )


def _failure(fit: _Fit, low: float, high: float) -> Failure | None:
    if not fit.converged:
        return "no_convergence"
    if fit.alpha >= AT_BOUNDARY:
        return "at_boundary"
    if fit.outliers > MAXIMUM_OUTLIERS:
        return "sites_do_not_fit"
    if high - low > max(MAXIMUM_INTERVAL, fit.alpha):
        return "too_uncertain"
    return None


@dataclass(frozen=True, kw_only=True)
class _Fit:
    alpha: float
    outliers: float
    log_likelihood: float
    converged: bool
    priors: Floats


class _Model:
    """The likelihood of one specimen's counts, with the parts that do not depend on alpha."""

    def __init__(self, counts: Counts) -> None:
        depth = counts.depth
        weight = np.minimum(1.0, MAXIMUM_WEIGHT / depth)[:, None]
        self.counts = np.hstack([counts.ref * weight, counts.alt * weight])
        self.error = _calibrated_error(counts)
        by_class = (counts.ref + counts.alt).sum(axis=0)
        self.mean_error = float(by_class @ self.error / by_class.sum())
        classes = len(self.error)
        ref, alt = self.counts[:, :classes].sum(axis=1), self.counts[:, classes:].sum(axis=1)
        # each allele fraction with equal probability: the integral of p^alt (1-p)^ref over p
        self.log_any = betaln(alt + 1.0, ref + 1.0)

    def log_pairs(self, alpha: float) -> Floats:
        """Return the log-likelihood of each site's reads (rows) for nine pairs of genotypes (columns: g1 * 3 + g2)."""
        share = ((1 - alpha) * _ALT_SHARE[:, None] + alpha * _ALT_SHARE[None, :]).reshape(1, 9)
        error = self.error[:, None]
        # a wrong base is each of the three others with equal probability
        alt = (1 - error) * share + error / 3 * (1 - share)
        ref = (1 - error) * (1 - share) + error / 3 * share
        return np.asarray(self.counts @ np.log(np.vstack([ref, alt])))

    def log_likelihood(self, alpha: float, priors: Floats) -> tuple[float, float]:
        """Return the log-likelihood of alpha, and the share of outliers that maximises it."""
        log_mixture = logsumexp(self.log_pairs(alpha) + priors, axis=1)
        return _with_outliers(log_mixture, self.log_any)

    def fit(self, priors: Floats) -> _Fit:
        """Return the alpha of highest likelihood, from a grid (there may be several maxima), then Brent's method."""
        grid = np.array([self.log_likelihood(alpha, priors)[0] for alpha in _GRID])
        best = int(np.argmax(grid))
        bounds = (_GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)])
        optimum = minimize_scalar(
            lambda alpha: -self.log_likelihood(alpha, priors)[0],
            bounds=bounds,
            method="bounded",
            options={"xatol": 1e-5},
        )
        # the bounded search never tries its ends, and most specimens lie at zero
        alpha = float(_GRID[best]) if grid[best] >= -optimum.fun else float(optimum.x)
        value, outliers = self.log_likelihood(alpha, priors)
        return _Fit(
            alpha=alpha,
            outliers=outliers,
            log_likelihood=value,
            converged=bool(optimum.success and np.isfinite(value)),
            priors=priors,
        )

    def interval(self, fit: _Fit) -> tuple[float, float]:
        """Return the 95 % interval: the profile likelihood lies 1.92 below its maximum at both ends."""

        def above(alpha: float) -> float:
            return self.log_likelihood(alpha, fit.priors)[0] - fit.log_likelihood + _HALF_CHI_SQUARE

        low = 0.0 if above(0.0) >= 0 else float(brentq(above, 0.0, fit.alpha, xtol=1e-5))
        high = UPPER if above(UPPER) >= 0 else float(brentq(above, fit.alpha, UPPER, xtol=1e-5))
        return low, high


def _with_outliers(log_mixture: Floats, log_any: Floats) -> tuple[float, float]:
    """Return the log-likelihood with outliers at their most likely rate, and that rate (by EM)."""
    rate = 0.01
    ratio = log_mixture - log_any
    for _ in range(200):
        posterior = 1.0 / (1.0 + np.exp(np.clip(ratio + np.log1p(-rate) - np.log(rate), -500, 500)))
        new = min(max(float(posterior.mean()), 1e-9), 1 - 1e-9)
        done = abs(new - rate) < 1e-6
        rate = new
        if done:
            break
    total = np.logaddexp(log_mixture + np.log1p(-rate), log_any + np.log(rate)).sum()
    return float(total), rate


def _calibrated_error(counts: Counts) -> Floats:
    """Return the error of each quality class, raised until the expected number of third alleles is the observed one.

    Two of three wrong bases are neither allele, whatever the genotypes. Qualities are too high where reads are
    misaligned or carry errors from before sequencing.
    """
    by_class = (counts.ref + counts.alt).sum(axis=0)
    total = by_class.sum() + counts.other.sum()
    seen = 1.5 * counts.other.sum() / total
    promised = by_class @ counts.error / by_class.sum()
    return np.asarray(np.clip(counts.error + max(0.0, seen - promised), 1e-4, 0.5))


def _genotype_priors(frequency: Floats) -> Floats:
    """Return the log-probability of the nine pairs of genotypes at each site, in Hardy-Weinberg proportion."""
    alt = np.clip(frequency, *FREQUENCY_LIMITS)
    single = np.log(np.stack([(1 - alt) ** 2, 2 * alt * (1 - alt), alt**2], axis=1))
    return np.asarray((single[:, :, None] + single[:, None, :]).reshape(-1, 9))


def _fit_with_ancestry(model: _Model, *, frequency: Floats, loadings: Floats) -> tuple[_Fit, Floats]:
    """Return alpha and the coordinates of ancestry, maximised in turn until alpha is stable (VerifyBamID2)."""
    loadings = loadings[:, :COMPONENTS]
    # coordinates in a panel are of the order of 1 / loading; in this unit all parameters are of order one
    unit = 1.0 / loadings.std(axis=0)

    def priors_at(coordinates: Floats) -> Floats:
        return _genotype_priors(frequency + loadings @ (coordinates * unit) / 2)

    coordinates = np.zeros(loadings.shape[1])
    fit = model.fit(priors_at(coordinates))
    for _ in range(5):
        log_pairs = model.log_pairs(fit.alpha)
        optimum = minimize(
            lambda point, pairs=log_pairs: (
                -_with_outliers(logsumexp(pairs + priors_at(point), axis=1), model.log_any)[0]
            ),
            coordinates,
            method="L-BFGS-B",
        )
        coordinates, before = np.asarray(optimum.x), fit.alpha
        fit = model.fit(priors_at(coordinates))
        if abs(fit.alpha - before) < 1e-4:
            break
    return fit, coordinates * unit


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
