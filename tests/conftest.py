"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real human data beside the project: optional on a laptop, required in CI."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        message = "real data is absent: no folder ../shared/data beside the project"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
