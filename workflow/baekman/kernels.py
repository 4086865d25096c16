"""Typed doors to Numba: compiled once, cached beside the source, released from the interpreter's lock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_folder() -> Path:
    """A folder named by the sources of all kernels.

    Numba looks at the file of a function alone, not at the files of the functions that are compiled into it.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(package.glob("*.py")):
        text = source.read_bytes()
        if b"@compiled" in text:
            digest.update(text)
    name = f"numba-{digest.hexdigest()[:16]}"
    if os.access(package, os.W_OK):
        return package / "__pycache__" / name
    return Path.home() / ".cache" / "baekman" / name


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_cache_folder())


def compiled(function: Function) -> Function:
    """Compile ``function`` to machine code on its first call; later processes load it from the cache."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
