"""The sites of a snapshot: statistics of each allele in the whole cohort, from sums alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, cast, column, empty, numpy_of, take
from baekman.cohort.census import called_at
from baekman.cohort.schema import CENSUS, SITES, SITES_COLUMNS
from baekman.genome.chromosomes import chromosome_kind
from baekman.genotyping.hwe import exact_tests
from baekman.genotyping.joint import prior_frequency


@dataclass(frozen=True, kw_only=True)
class SiteFilters:
    """Thresholds of the site filters.

    ``low_call_rate``: least share of participants called (gnomAD and UK Biobank filter below 0.9); on Y of the
    participants who are not registered as female.
    ``excess_het``: largest phred-scaled P of excess heterozygosity (54.69 is z = -4.5, GATK's default).
    ``low_qual``: least phred evidence that anyone carries the allele (30 is GATK's default calling confidence).
    ``low_allele_balance``: least mean share of ALT reads of called heterozygotes (0.2, gnomAD's genotype filter).
    ``hwe_mid_p``: use the mid-p variant of both exact tests.
    """

    low_call_rate: float = 0.9
    excess_het: float = 54.69
    low_qual: float = 30.0
    low_allele_balance: float = 0.2
    hwe_mid_p: bool = False


FILTER_NAMES = ("AC0", "ExcessHet", "LowAlleleBalance", "LowCallRate", "LowQual")
# null where there is nothing to divide by
NULLABLE = frozenset(each.name for each in SITES_COLUMNS if each.null)

Counts = Mapping[str, npt.NDArray[np.int64]]


def _ratio(top: npt.NDArray[Any], bottom: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return top / bottom, NaN where the bottom is 0."""
    out = np.full(len(top), np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


def _nullable(values: npt.NDArray[np.float64]) -> pa.Array:
    return arrow(values, missing=np.isnan(values))


@cache
def _filter_texts() -> pa.Array:
    """Return the FILTER of each combination of failed filters, by its bits."""
    return column(
        [
            ";".join(name for bit, name in enumerate(FILTER_NAMES) if code >> bit & 1) or "PASS"
            for code in range(1 << len(FILTER_NAMES))
        ]
    )


def describe_sites(
    census: pa.Table, called: pa.Table, *, contig: str, participants: int, filters: SiteFilters, females: int = 0
) -> pa.Table:
    """Return the sites (schema SITES) of one shard from its merged census and step function, in the census's order.

    ``females``: the number of ``participants`` who are registered as female; a call rate on Y does not count them.
    Frequencies, tests and filters follow from the integer sums alone, so they do not depend on the division of the
    cohort into batches.
    """
    if census.num_rows == 0:
        return empty(SITES)
    count = {
        name: numpy_of(census, name).astype(np.int64) for name in CENSUS.names if name not in ("pos", "ref", "alt")
    }
    here = called_at(called, numpy_of(census, "pos"))
    for ploidy in (1, 2):  # participants with a weaker record of this allele are not called at it
        here[f"called_{ploidy}"] -= count[f"uncalled_{ploidy}"]
        here[f"raw_{ploidy}"] -= count[f"missing_{ploidy}"]
    people_called = here["called_1"] + here["called_2"]
    expected = participants - (females if chromosome_kind(contig) == "Y" else 0)
    columns: dict[str, npt.NDArray[Any]] = {
        **_frequencies(count, here),
        **_tests(count, here, mid_p=filters.hwe_mid_p),
        **_evidence(count),
        "participants": np.full(census.num_rows, participants),
        "called": people_called,
        "uncalled": here["covered"] - people_called,
        "no_coverage": participants - here["covered"],
        "call_rate": np.minimum(people_called / max(expected, 1), 1.0),
        "weight": here["weight"],
    }
    arrow_columns = {
        **{name: _nullable(values) if name in NULLABLE else column(values) for name, values in columns.items()},
        "contig": take(column([contig]), np.zeros(census.num_rows, np.int32)),
        "filter": take(_filter_texts(), _failed_filters(columns, filters)),
    }
    arrays = [
        census.column(f.name).combine_chunks() if f.name in CENSUS.names else cast(arrow_columns[f.name], f.type)
        for f in SITES
    ]
    return pa.table(arrays, schema=SITES)


def _frequencies(count: Counts, here: Counts) -> dict[str, npt.NDArray[Any]]:
    """Return allele counts, numbers and frequencies: called, raw and for the joint genotypes' prior."""
    ac = count["het"] + 2 * count["hom"] + count["hemi"]
    an = here["called_1"] + 2 * here["called_2"]
    ac_raw = count["het_raw"] + 2 * count["hom_raw"] + count["hemi_raw"]
    an_raw = here["raw_1"] + 2 * here["raw_2"]
    return {
        "ac": ac,
        "an": an,
        "af": _ratio(ac, an),
        "ac_raw": ac_raw,
        "an_raw": an_raw,
        "af_raw": _ratio(ac_raw, an_raw),
        "af_joint": prior_frequency(count["dosage"], here["weight"]),
        "hom_ref": np.maximum(here["called_2"] - count["het"] - count["hom"], 0),
    }


def _tests(count: Counts, here: Counts, *, mid_p: bool) -> dict[str, npt.NDArray[Any]]:
    """Return P of Hardy-Weinberg equilibrium, phred P of excess heterozygosity, and the inbreeding coefficient.

    They are of participants with two copies: a male who is called diploid on X has one.
    """
    het, hom = count["het"] - count["het_one"], count["hom"] - count["hom_one"]
    diploid = here["called_2"] - (here["called_one"] - count["uncalled_one"])
    p, excess = exact_tests(np.maximum(diploid - het - hom, 0), het, hom, mid_p=mid_p)
    frequency = _ratio(het + 2 * hom, 2 * diploid)
    expected_het = 2.0 * frequency * (1.0 - frequency) * diploid
    return {
        "hwe_p": p,
        "excess_het": -10.0 * np.log10(np.maximum(excess, 1e-300)) + 0.0,
        "inbreeding": 1.0 - _ratio(het, np.nan_to_num(expected_het)),
    }


def _evidence(count: Counts) -> dict[str, npt.NDArray[Any]]:
    """Return quality, quality by depth, allele balance and mean depth of the carriers."""
    qual = count["qual_sum"].astype(np.float64)
    return {
        "qual": qual,
        "qual_by_depth": _ratio(qual, count["dp_sum"]),
        "allele_balance": _ratio(count["ad_alt_het"], count["ad_ref_het"] + count["ad_alt_het"]),
        "mean_depth": _ratio(count["dp_sum"], count["dp_n"]),
    }


def _failed_filters(columns: Mapping[str, npt.NDArray[Any]], filters: SiteFilters) -> npt.NDArray[np.int64]:
    """Return the failed filters of each site, a bit for each of FILTER_NAMES."""
    failed = np.stack(
        [
            columns["ac"] == 0,
            columns["excess_het"] > filters.excess_het,
            np.nan_to_num(columns["allele_balance"], nan=1.0) < filters.low_allele_balance,
            columns["call_rate"] < filters.low_call_rate,
            columns["qual"] < filters.low_qual,
        ],
        axis=1,
    )
    codes: npt.NDArray[np.int64] = failed @ (1 << np.arange(len(FILTER_NAMES)))
    return codes
