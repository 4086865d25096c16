"""Joint genotypes against the plain formula: likelihood times the Hardy-Weinberg prior."""

from __future__ import annotations

from math import floor, log10

import numpy as np
import pytest
from baekman.genotyping.joint import joint_reference, joint_rows, prior_frequency, row_dosage
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def plain(pl: list[int], frequency: float) -> list[float]:
    """Return the posterior of 0…ploidy copies."""
    if len(pl) == 2:
        prior = [1 - frequency, frequency]
    else:
        prior = [(1 - frequency) ** 2, 2 * frequency * (1 - frequency), frequency**2]
    least = min(pl)
    weights = [10 ** (-(value - least) / 10) * weight for value, weight in zip(pl, prior, strict=True)]
    return [weight / sum(weights) for weight in weights]


def row(pl: list[int], frequency: float) -> tuple[int, int]:
    padded = np.array([[*pl, -1][:3]], np.int32)
    copies, gq = joint_rows(
        padded,
        np.array([len(pl) - 1], np.uint8),
        np.array([0], np.uint8),
        np.array([0], np.int16),
        np.array([frequency]),
    )
    return int(copies[0]), int(gq[0])


@settings(max_examples=300, deadline=None)
@given(pl=st.lists(st.integers(0, 400), min_size=2, max_size=3), frequency=st.floats(1e-6, 1 - 1e-6))
def test_the_most_probable_copies_and_their_quality(pl: list[int], frequency: float) -> None:
    posterior = plain(pl, frequency)
    ordered = sorted(posterior, reverse=True)
    assume(ordered[0] - ordered[1] > 1e-9)
    copies, gq = row(pl, frequency)
    assert copies == posterior.index(ordered[0])
    error = sum(value for number, value in enumerate(posterior) if number != copies)
    expected = min(99.0, -10 * log10(error)) if error > 0 else 99.0
    assert gq in (floor(expected + 1e-6), floor(expected - 1e-6))


def test_weak_evidence_of_reference_is_enough_at_a_rare_allele_and_not_at_a_common_one() -> None:
    rare = joint_reference(6, 2, 0.0005)
    common = joint_reference(6, 2, 0.4)
    assert rare[0] == common[0] == 0
    assert rare[1] >= 20 > common[1]


@settings(max_examples=100, deadline=None)
@given(gq=st.integers(0, 99), ploidy=st.integers(1, 2), frequency=st.floats(1e-6, 1 - 1e-6))
def test_reference_evidence_is_likelihoods_of_one_and_two_copies(gq: int, ploidy: int, frequency: float) -> None:
    pl = [0, gq, 2 * gq][: ploidy + 1]
    posterior = sorted(plain(pl, frequency), reverse=True)
    assume(posterior[0] - posterior[1] > 1e-9)
    assert joint_reference(gq, ploidy, frequency) == row(pl, frequency)


def test_a_row_without_likelihoods_keeps_its_genotype() -> None:
    copies, gq = joint_rows(
        np.array([[-1, -1, -1]], np.int32),
        np.array([2], np.uint8),
        np.array([1], np.uint8),
        np.array([37], np.int16),
        np.array([0.001]),
    )
    assert (copies[0], gq[0]) == (1, 37)


@settings(max_examples=100, deadline=None)
@given(pl=st.lists(st.integers(0, 400), min_size=2, max_size=3))
def test_dosage_is_the_expected_copies_under_the_flat_prior(pl: list[int]) -> None:
    weights = [10 ** (-(value - min(pl)) / 10) * (2 if len(pl) == 3 and k == 1 else 1) for k, value in enumerate(pl)]
    expected = sum(k * weight for k, weight in enumerate(weights)) / sum(weights)
    dosage = row_dosage(np.array([[*pl, -1][:3]], np.int32), np.array([len(pl) - 1], np.uint8), np.array([0], np.uint8))
    assert dosage[0] == pytest.approx(1000 * expected, abs=0.51)


def test_prior_frequency_never_reaches_the_ends() -> None:
    frequency = prior_frequency(np.array([0, 2_000_000, 0]), np.array([2_000_000, 2_000_000, 0]))
    assert (frequency > 0).all() and (frequency < 1).all()
    assert frequency[0] == pytest.approx(0.5 / 2002)
