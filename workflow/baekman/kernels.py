"""Typed doors to Numba: compiled once, cached beside the source, released from the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile ``function`` to machine code on its first call; later processes load it from the cache."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
