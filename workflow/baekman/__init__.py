"""From whole-genome sequencing deliveries to joint-genotyped, per-participant variant tables."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("baekman")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"
