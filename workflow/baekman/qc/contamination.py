"""Contamination: the share of a specimen's reads that come from another person.

The likelihood of VerifyBamID (Jun et al. 2012, Am J Hum Genet 91:839): each site's reads come from two people
with genotypes g1, g2, unknown and in Hardy-Weinberg proportion at the site's population frequency, in the
shares 1 - alpha and alpha. Two things are added, both against sites that no mixture explains (paralogous or
misaligned reads): a site is an outlier with a probability that is estimated too, and then shows any allele
fraction alike; and a site weighs no more than ``MAXIMUM_WEIGHT`` reads, since reads at several hundred-fold
depth are no independent draws.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import betaln, logsumexp

from baekman.files import atomic
from baekman.qc.pileup import Counts, Floats, count_alleles, panel_prefix, read_sites

MINIMUM_SITES = 100  # with reads; below, the interval is wider than what tells accept from reject
MINIMUM_DEPTH = 4.0  # mean, over those sites
MAXIMUM_WEIGHT = 100  # reads
MAXIMUM_OTHER = 0.1  # a site with more reads of a third allele is no biallelic site in this specimen
MAXIMUM_OUTLIERS = 0.25  # beyond, the sites do not belong to this reference or these reads
MAXIMUM_INTERVAL = 0.02  # width of the 95 % interval (or as wide as alpha itself): the span from accept to reject
UPPER = 0.5  # beyond, the other person would be the specimen's own
AT_BOUNDARY = 0.49
COMPONENTS = 4  # of ancestry, as VerifyBamID2's default and GA4GH's definition
FREQUENCY_LIMITS = (0.005, 0.995)  # no allele is taken as absent from a population, or fixed in it

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
# the estimator was never asked; any other failure means that it was, and could not answer
NOT_ASKED: tuple[Failure, ...] = ("no_sites_configured", "no_reads")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The outcome. ``alpha`` is the contaminating share (0-0.5), None when ``failure`` says why it is not
    known.

    ``low`` and ``high`` bound it with 95 % confidence (profile likelihood). ``sites`` and ``depth`` (mean):
    what was used. ``error``: mean probability of a wrong base. ``outliers``: share of sites that no mixture
    explains. ``ancestry``: coordinates in the panel's components.
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
    """The maximum-likelihood share of contaminating reads in ``counts``.

    ``frequency`` of ALT at each site; with ``loadings`` (sites x components) it is only where the search for
    the specimen's ancestry starts, and both people are taken to be of one ancestry. Never raises on poor
    data: the estimate's ``failure`` says why there is none.
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
    """The likelihood of one specimen's counts, with what does not change from one alpha to the next."""

    def __init__(self, counts: Counts) -> None:
        depth = counts.depth
        weight = np.minimum(1.0, MAXIMUM_WEIGHT / depth)[:, None]
        self.counts = np.hstack([counts.ref * weight, counts.alt * weight])
        self.error = _calibrated_error(counts)
        by_class = (counts.ref + counts.alt).sum(axis=0)
        self.mean_error = float(by_class @ self.error / by_class.sum())
        classes = len(self.error)
        ref, alt = self.counts[:, :classes].sum(axis=1), self.counts[:, classes:].sum(axis=1)
        # any allele fraction alike: the integral of p^alt (1-p)^ref over p
        self.log_any = betaln(alt + 1.0, ref + 1.0)

    def log_pairs(self, alpha: float) -> Floats:
        """Log-likelihood of each site's reads (rows) for nine pairs of genotypes (columns: g1 * 3 + g2)."""
        share = ((1 - alpha) * _ALT_SHARE[:, None] + alpha * _ALT_SHARE[None, :]).reshape(1, 9)
        error = self.error[:, None]
        # a wrong base is each of the three others with equal probability
        alt = (1 - error) * share + error / 3 * (1 - share)
        ref = (1 - error) * (1 - share) + error / 3 * share
        return np.asarray(self.counts @ np.log(np.vstack([ref, alt])))

    def log_likelihood(self, alpha: float, priors: Floats) -> tuple[float, float]:
        """The log-likelihood of alpha, and the share of outliers that maximises it."""
        log_mixture = logsumexp(self.log_pairs(alpha) + priors, axis=1)
        return _with_outliers(log_mixture, self.log_any)

    def fit(self, priors: Floats) -> _Fit:
        """The alpha of highest likelihood: a grid, since there may be several maxima, then Brent's method."""
        grid = np.array([self.log_likelihood(alpha, priors)[0] for alpha in _GRID])
        best = int(np.argmax(grid))
        bounds = (_GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)])
        found = minimize_scalar(
            lambda alpha: -self.log_likelihood(alpha, priors)[0],
            bounds=bounds,
            method="bounded",
            options={"xatol": 1e-5},
        )
        # the bounded search never tries its ends, and zero is where most specimens lie
        alpha = float(_GRID[best]) if grid[best] >= -found.fun else float(found.x)
        value, outliers = self.log_likelihood(alpha, priors)
        return _Fit(
            alpha=alpha,
            outliers=outliers,
            log_likelihood=value,
            converged=bool(found.success and np.isfinite(value)),
            priors=priors,
        )

    def interval(self, fit: _Fit) -> tuple[float, float]:
        """The 95 % interval by profile likelihood: where it lies 1.92 below its maximum."""

        def above(alpha: float) -> float:
            return self.log_likelihood(alpha, fit.priors)[0] - fit.log_likelihood + _HALF_CHI_SQUARE

        low = 0.0 if above(0.0) >= 0 else float(brentq(above, 0.0, fit.alpha, xtol=1e-5))
        high = UPPER if above(UPPER) >= 0 else float(brentq(above, fit.alpha, UPPER, xtol=1e-5))
        return low, high


def _with_outliers(log_mixture: Floats, log_any: Floats) -> tuple[float, float]:
    """Log-likelihood with sites being outliers at the most likely rate, and that rate (by EM)."""
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
    """The error of each quality class, raised so that as many third alleles are expected as are seen.

    Two of three wrong bases are neither allele, whatever the genotypes. Qualities promise too much where
    reads are misaligned or carry errors from before sequencing.
    """
    by_class = (counts.ref + counts.alt).sum(axis=0)
    total = by_class.sum() + counts.other.sum()
    seen = 1.5 * counts.other.sum() / total
    promised = by_class @ counts.error / by_class.sum()
    return np.asarray(np.clip(counts.error + max(0.0, seen - promised), 1e-4, 0.5))


def _genotype_priors(frequency: Floats) -> Floats:
    """Log-probability of the nine pairs of genotypes at each site, in Hardy-Weinberg proportion."""
    alt = np.clip(frequency, *FREQUENCY_LIMITS)
    single = np.log(np.stack([(1 - alt) ** 2, 2 * alt * (1 - alt), alt**2], axis=1))
    return np.asarray((single[:, :, None] + single[:, None, :]).reshape(-1, 9))


def _fit_with_ancestry(model: _Model, *, frequency: Floats, loadings: Floats) -> tuple[_Fit, Floats]:
    """Alpha and the coordinates of ancestry, maximised in turn until alpha stands still (VerifyBamID2)."""
    loadings = loadings[:, :COMPONENTS]
    # coordinates in a panel are of the order of 1 / loading: in this unit all parameters are of order one
    unit = 1.0 / loadings.std(axis=0)

    def priors_at(coordinates: Floats) -> Floats:
        return _genotype_priors(frequency + loadings @ (coordinates * unit) / 2)

    coordinates = np.zeros(loadings.shape[1])
    fit = model.fit(priors_at(coordinates))
    for _ in range(5):
        log_pairs = model.log_pairs(fit.alpha)
        found = minimize(
            lambda point, pairs=log_pairs: (
                -_with_outliers(logsumexp(pairs + priors_at(point), axis=1), model.log_any)[0]
            ),
            coordinates,
            method="L-BFGS-B",
        )
        coordinates, before = np.asarray(found.x), fit.alpha
        fit = model.fit(priors_at(coordinates))
        if abs(fit.alpha - before) < 1e-4:
            break
    return fit, coordinates * unit


def assess(cram: Path | None, *, reference: Path, sites: Path | None) -> Estimate:
    """The contamination of an indexed CRAM or BAM, at the population's ``sites`` (VCF with INFO/AF, or a
    panel).

    VerifyBamID2 does it where it is installed and ``sites`` is its panel. Raises ``InputRefused`` when the
    sites are of no use with the reference: that is a fault of the configuration, not of the specimen.
    """
    if cram is None:
        return Estimate(alpha=None, failure="no_reads")
    if sites is None:
        return Estimate(alpha=None, failure="no_sites_configured")
    prefix, program = panel_prefix(sites), verifybamid2()
    if prefix and program:
        return _run_verifybamid2(program, cram=cram, reference=reference, prefix=prefix)
    population = read_sites(sites)
    counts = count_alleles(cram, reference=reference, sites=population)
    return estimate(counts, frequency=population.frequency, loadings=population.loadings)


def measure(cram: Path | None, *, reference: Path, sites: Path | None, output: Path) -> Estimate:
    """``assess``, written to ``output`` as a JSON object with the fields of ``Estimate``."""
    found = assess(cram, reference=reference, sites=sites)
    atomic.write_text(output, json.dumps(asdict(found), indent=1) + "\n")
    return found


def read_estimate(path: Path) -> Estimate:
    """The estimate that ``measure`` wrote."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if value["ancestry"] is not None:
        value["ancestry"] = tuple(value["ancestry"])
    return Estimate(**value)


def verifybamid2() -> str | None:
    """Where VerifyBamID2 is installed: under bioconda's name or its own; None when it is not."""
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
    """The estimate in a ``.selfSM`` of VerifyBamID2: a header line and one line, tab-separated."""
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
