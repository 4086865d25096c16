"""The heap of a process that makes and frees many arrays of a few megabytes."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST_IN_HEAP = 32 << 20  # glibc takes no higher one
_KEPT_FREE = 128 << 20


def keep_freed_memory() -> None:
    """Let the allocator of glibc keep up to 128 MiB of freed memory, for this process and those that it forks.

    Without it, each larger array is new memory of the system: zeroed at its first use, and given back when it is freed.
    Another C library goes on as before.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
