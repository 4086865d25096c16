"""Compiled kernels: loops over records, rows and genotypes that Python is too slow for.

Each module is Cython (``.pyx``; ``.pxd`` for other kernels, ``.pyi`` for its types), compiled when the package is
installed. The kernels fill NumPy arrays, release the interpreter's lock while they work, and open no files. The module
of the same noun in ``baekman`` feeds them. Floating-point results do not depend on the machine.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_FOLDER = Path(__file__).parent


def digest_of_sources() -> str:
    """Return the SHA-256 of all sources that the modules are compiled from."""
    digest = hashlib.sha256()
    for source in sorted(_FOLDER.rglob("*.p[yx][xd]")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _check() -> None:
    """Refuse kernels that were compiled from other sources: they may give other results without an error."""
    stamp = _FOLDER / "built.sha256"
    if stamp.exists() and stamp.read_text().strip() != digest_of_sources():
        raise ImportError("the kernels were compiled from other sources; build them again: make venv")


_check()
