"""The sites of a snapshot: what the whole cohort says of each allele, from sums alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, column, empty, numpy_of, take
from baekman.cohort.census import called_at
from baekman.cohort.schema import CENSUS, SITES
from baekman.genome.contigs import chromosome_kind
from baekman.genotyping.hwe import exact_tests
from baekman.genotyping.joint import prior_frequency


@dataclass(frozen=True, kw_only=True)
class SiteFilters:
    """Thresholds of the site filters.

    ``low_call_rate``: least share of participants called (gnomAD and UK Biobank filter below 0.9); on Y of those
    who are not registered as female.
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


def _ratio(top: npt.NDArray[Any], bottom: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """top / bottom, NaN where there is nothing to divide by."""
    out = np.full(len(top), np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


def _nullable(values: npt.NDArray[np.float64]) -> pa.Array:
    return arrow(values, missing=np.isnan(values))


@cache
def _filter_texts() -> pa.Array:
    """FILTER by the bits of those that failed."""
    return column(
        [
            ";".join(name for bit, name in enumerate(FILTER_NAMES) if code >> bit & 1) or "PASS"
            for code in range(1 << len(FILTER_NAMES))
        ]
    )


def describe_sites(
    census: pa.Table, called: pa.Table, *, contig: str, participants: int, filters: SiteFilters, females: int = 0
) -> pa.Table:
    """Sites (schema SITES) of one shard from its merged census and step function, in the census's order.

    ``females`` of the ``participants`` are registered as female: a call rate on Y is not theirs.

    Frequencies, tests and filters follow from the integer sums alone, so they do not depend on how the cohort
    was divided into batches.
    """
    if census.num_rows == 0:
        return empty(SITES)
    count = {
        name: numpy_of(census, name).astype(np.int64) for name in CENSUS.names if name not in ("pos", "ref", "alt")
    }
    here = called_at(called, numpy_of(census, "pos"))
    for ploidy in (1, 2):  # of the position; whose own record of the allele is weaker is not called of it
        here[f"called_{ploidy}"] -= count[f"uncalled_{ploidy}"]
        here[f"raw_{ploidy}"] -= count[f"missing_{ploidy}"]
    ac = count["het"] + 2 * count["hom"] + count["hemi"]
    an = here["called_1"] + 2 * here["called_2"]
    ac_raw = count["het_raw"] + 2 * count["hom_raw"] + count["hemi_raw"]
    an_raw = here["raw_1"] + 2 * here["raw_2"]
    people_called = here["called_1"] + here["called_2"]
    hom_ref = np.maximum(here["called_2"] - count["het"] - count["hom"], 0)
    # Hardy-Weinberg proportions are those of people with two copies: a male called diploid has one
    het, hom = count["het"] - count["het_one"], count["hom"] - count["hom_one"]
    diploid = here["called_2"] - (here["called_one"] - count["uncalled_one"])
    p, excess = exact_tests(np.maximum(diploid - het - hom, 0), het, hom, mid_p=filters.hwe_mid_p)
    excess_het = -10.0 * np.log10(np.maximum(excess, 1e-300)) + 0.0
    frequency = _ratio(het + 2 * hom, 2 * diploid)
    expected = 2.0 * frequency * (1.0 - frequency) * diploid
    inbreeding = 1.0 - _ratio(het, np.nan_to_num(expected))
    expected_here = participants - (females if chromosome_kind(contig) == "Y" else 0)
    call_rate = np.minimum(people_called / max(expected_here, 1), 1.0)
    qual = count["qual_sum"].astype(np.float64)
    balance = _ratio(count["ad_alt_het"], count["ad_ref_het"] + count["ad_alt_het"])
    failed = np.stack(
        [
            ac == 0,
            excess_het > filters.excess_het,
            np.nan_to_num(balance, nan=1.0) < filters.low_allele_balance,
            call_rate < filters.low_call_rate,
            qual < filters.low_qual,
        ],
        axis=1,
    )
    codes = failed @ (1 << np.arange(len(FILTER_NAMES)))
    columns: dict[str, Any] = {
        "contig": take(column([contig]), np.zeros(census.num_rows, np.int32)),
        "ac": ac,
        "an": an,
        "af": _nullable(_ratio(ac, an)),
        "ac_raw": ac_raw,
        "an_raw": an_raw,
        "af_raw": _nullable(_ratio(ac_raw, an_raw)),
        "af_joint": prior_frequency(count["dosage"], here["weight"]),
        "hom_ref": hom_ref,
        "participants": np.full(census.num_rows, participants),
        "called": people_called,
        "uncalled": here["covered"] - people_called,
        "no_coverage": participants - here["covered"],
        "call_rate": call_rate,
        "hwe_p": p,
        "excess_het": excess_het,
        "inbreeding": _nullable(inbreeding),
        "qual": qual,
        "qual_by_depth": _nullable(_ratio(qual, count["dp_sum"])),
        "allele_balance": _nullable(balance),
        "mean_depth": _nullable(_ratio(count["dp_sum"], count["dp_n"])),
        "weight": here["weight"],
        "filter": take(_filter_texts(), codes),
    }
    arrays = [
        census.column(f.name).combine_chunks() if f.name in CENSUS.names else column(columns[f.name]).cast(f.type)
        for f in SITES
    ]
    return pa.table(arrays, schema=SITES)
