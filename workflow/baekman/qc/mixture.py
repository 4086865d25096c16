"""The estimate of contamination from the alleles of reads at population sites.

The likelihood is that of VerifyBamID (Jun et al. 2012, Am J Hum Genet 91:839). Each site's reads come from two people
in the shares 1 - alpha and alpha. Their genotypes g1 and g2 are unknown and in Hardy-Weinberg proportion at the
site's population frequency. Two additions handle sites that no mixture explains (paralogous or misaligned reads).
A site is an outlier with a probability that is estimated too; an outlier shows each allele fraction with equal
probability. A site weighs at most ``MAXIMUM_WEIGHT`` reads, since reads at several hundred-fold depth are no
independent draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import betaln, logsumexp

from baekman.qc.contamination import AT_BOUNDARY, COMPONENTS, MINIMUM_DEPTH, MINIMUM_SITES, Estimate, Failure
from baekman.qc.pileup import Counts, Floats

MAXIMUM_WEIGHT = 100  # reads
MAXIMUM_OTHER = 0.1  # a site with more reads of a third allele is no biallelic site in this specimen
MAXIMUM_OUTLIERS = 0.25  # with more, the sites do not belong to this reference or these reads
MAXIMUM_INTERVAL = 0.02  # width of the 95 % interval (or as wide as alpha itself): the span from accept to reject
UPPER = 0.5  # above it, the other person is the specimen's own
FREQUENCY_LIMITS = (0.005, 0.995)  # no allele counts as absent from a population, or as fixed in it

_ALT_SHARE = np.array([0.0, 0.5, 1.0])  # of a genotype's chromosomes
_GRID = np.array([0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.33, 0.42, UPPER])
_HALF_CHI_SQUARE = 1.9207  # half the 95 % quantile of chi-square with one degree of freedom


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
