"""The cohort that the tests of relatedness share."""

from __future__ import annotations

import numpy as np
import pytest
from baekman.relatedness.compute import compute
from support.generated_population import PEOPLE, VARIANTS, Population, genotypes, nobody, write_population


@pytest.fixture(scope="session")
def population(tmp_path_factory: pytest.TempPathFactory) -> Population:
    """Return a computed cohort of two populations with two siblings, a child and a twin; some genotypes are missing."""
    copies = genotypes(PEOPLE, variants=VARIANTS, seed=3)
    copies[7] = np.where(copies[7] == 1, 2, copies[7])  # an outlier: without heterozygotes
    chance = np.random.default_rng(4)
    copies[chance.integers(8, PEOPLE, 40), chance.integers(0, VARIANTS, 40)] = -1
    made = write_population(tmp_path_factory.mktemp("population"), copies)
    compute(made.store, left_out=nobody)
    return made
