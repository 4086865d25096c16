"""Compiled kernels: loops over records, rows and genotypes that Python is too slow for.

Each module is Cython (``.pyx``; ``.pxd`` for what others use, ``.pyi`` for its types), compiled when the package is
installed. They take and fill NumPy arrays, let go of the interpreter's lock while they work, and know no files; the
module of the same noun in ``baekman`` feeds them. Floating-point results do not depend on the machine.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_FOLDER = Path(__file__).parent


def digest_of_sources() -> str:
    """SHA-256 of all that the modules are compiled from."""
    digest = hashlib.sha256()
    for source in sorted(_FOLDER.rglob("*.p[yx][xd]")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _check() -> None:
    """Refuse kernels of another version of the sources: they may give other results without a word."""
    stamp = _FOLDER / "built.sha256"
    if stamp.exists() and stamp.read_text().strip() != digest_of_sources():
        raise ImportError("the compiled kernels are not those of their sources; build them: make venv")


_check()
