"""Fixtures of the tests on real gVCFs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ground import Ground, ground_of_fifty


@pytest.fixture(scope="session")
def ground(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Fifty real gVCFs of one region."""
    return ground_of_fifty(tmp_path_factory.mktemp("laws"), shared_data)
