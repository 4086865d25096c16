"""From whole-genome sequencing deliveries to joint-genotyped, per-participant variant tables.

The names in ``__all__`` are the public Python interface. Each is imported when it is first used, so
``import baekman`` itself is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from baekman.api.cohort import Cohort
    from baekman.api.frozen_cohort import FrozenCohort, open_freeze
    from baekman.api.opening import create_cohort, open_cohort
    from baekman.cohort.snapshot import Snapshot
    from baekman.errors import InputRefused
    from baekman.records.access import Records, open_records
    from baekman.tables.dataset import open_table, open_tables

__version__ = "0.1.0"

__all__ = [
    "Cohort",
    "FrozenCohort",
    "InputRefused",
    "Records",
    "Snapshot",
    "__version__",
    "create_cohort",
    "open_cohort",
    "open_freeze",
    "open_records",
    "open_table",
    "open_tables",
]

_MODULES = {
    "Cohort": "baekman.api.cohort",
    "FrozenCohort": "baekman.api.frozen_cohort",
    "InputRefused": "baekman.errors",
    "Records": "baekman.records.access",
    "Snapshot": "baekman.cohort.snapshot",
    "create_cohort": "baekman.api.opening",
    "open_cohort": "baekman.api.opening",
    "open_freeze": "baekman.api.frozen_cohort",
    "open_records": "baekman.records.access",
    "open_table": "baekman.tables.dataset",
    "open_tables": "baekman.tables.dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
