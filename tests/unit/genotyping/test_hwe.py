"""Exact tests of Hardy-Weinberg equilibrium against whole fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from baekman.genotyping.hwe import exact_tests
from hypothesis import given, settings
from hypothesis import strategies as st


def by_fractions(hom_ref: int, het: int, hom_alt: int, *, mid_p: bool) -> tuple[float, float]:
    """Return the definition: given the allele counts, each number of heterozygotes has a probability; sum them up."""
    people = hom_ref + het + hom_alt
    rare = 2 * hom_alt + het
    weights = {
        hets: Fraction(comb(people, hets) * comb(people - hets, (rare - hets) // 2) * 2**hets)
        for hets in range(rare % 2, min(rare, 2 * people - rare) + 1, 2)
    }
    total = sum(weights.values())
    observed = weights[het]
    half = observed / 2 if mid_p else 0
    p = (sum(weight for weight in weights.values() if weight <= observed) - half) / total
    excess = (sum(weight for hets, weight in weights.items() if hets >= het) - half) / total
    return float(p), float(excess)


@settings(max_examples=300, deadline=None)
@given(
    counts=st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).filter(lambda c: sum(c) > 0),
    mid_p=st.booleans(),
)
def test_equals_the_sum_over_all_numbers_of_heterozygotes(counts: tuple[int, int, int], mid_p: bool) -> None:
    hom_ref, het, hom_alt = counts
    p, excess = exact_tests(*(np.array([count]) for count in counts), mid_p=mid_p)
    if min(2 * hom_ref + het, 2 * hom_alt + het) == 0:
        assert (p[0], excess[0]) == (1.0, 1.0)  # one allele only: nothing to test, with mid-p neither
    else:
        expected = by_fractions(hom_ref, het, hom_alt, mid_p=mid_p)
        assert (p[0], excess[0]) == pytest.approx(expected, rel=1e-9)


def test_nobody_and_millions() -> None:
    p, excess = exact_tests(np.array([0, 249_000, 0]), np.array([0, 502_000, 1_000_000]), np.array([0, 249_000, 0]))
    assert (p[0], excess[0]) == (1.0, 1.0)
    assert 0 < p[1] < 0.001 and 0 < excess[1] < 0.001
    assert p[2] < 1e-200 and excess[2] < 1e-200
