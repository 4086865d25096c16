"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.delivery_builder import write_reference


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write ``tiny.fa``, the reference of the made-up deliveries."""
    return write_reference(tmp_path_factory.mktemp("reference"))
