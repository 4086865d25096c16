"""The small OMOP tables, read once."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.omop_round_trip import Events, read_events
from support.omop_tables import write_omop


@pytest.fixture(scope="package")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_omop(tmp_path_factory.mktemp("delivered"))


@pytest.fixture(scope="package")
def events(delivered: Path) -> Events:
    return read_events(delivered)
