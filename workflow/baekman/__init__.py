"""From whole-genome sequencing deliveries to joint-genotyped, per-participant variant tables."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """``__version__``, looked up when it is asked for: every step imports this package, few ask."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("baekman")
    except PackageNotFoundError:  # running from a source tree that was never installed
        return "0+unknown"
