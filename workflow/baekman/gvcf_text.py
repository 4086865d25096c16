"""The primitives of reading VCF text, compiled: numbers, comparisons and lists of strings in byte arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from baekman.kernels import compiled

Array = Any  # a NumPy array inside compiled code

TAB, COLON, COMMA, SLASH, PIPE, DOT, SEMICOLON, STAR, LESS, EQUALS = 9, 58, 44, 47, 124, 46, 59, 42, 60, 61


@compiled
def integer(buf: Array, start: int, end: int) -> int:
    """The integer at ``buf[start:end]`` (decimals cut off); -1 when ``.`` or empty, -2 when it is none."""
    if start >= end or (end - start == 1 and buf[start] == DOT):
        return -1
    value = 0
    for at in range(start, end):
        digit = buf[at] - 48
        if digit < 0 or digit > 9:
            if buf[at] == DOT and at > start:
                return value
            return -2
        value = value * 10 + digit
        if value > 2_000_000_000:
            return 2_000_000_000
    return value


@compiled
def quality(buf: Array, start: int, end: int) -> int:
    """QUAL in hundredths, -1 when missing; only compared, never stored."""
    whole = integer(buf, start, end)
    if whole < 0:
        return -1
    hundredths = min(whole, 10_000_000) * 100
    for at in range(start, end):
        if buf[at] == DOT:
            if at + 1 < end and 48 <= buf[at + 1] <= 57:
                hundredths += 10 * (buf[at + 1] - 48)
            if at + 2 < end and 48 <= buf[at + 2] <= 57:
                hundredths += buf[at + 2] - 48
            break
    return hundredths


@compiled
def same(buf: Array, start: int, end: int, pool: Array, first: int, last: int) -> bool:
    """Whether ``buf[start:end]`` equals ``pool[first:last]``."""
    if end - start != last - first:
        return False
    for index in range(end - start):
        if buf[start + index] != pool[first + index]:
            return False
    return True


@compiled
def upper(base: int) -> int:
    """The upper-case letter."""
    return base - 32 if 97 <= base <= 122 else base


@compiled
def is_base(base: int) -> bool:
    """Whether it is A, C, G or T."""
    return base == 65 or base == 67 or base == 71 or base == 84


@compiled
def is_allele_letter(base: int) -> bool:
    """Whether it is an upper-case letter."""
    return 65 <= base <= 90


@compiled
def named(state: Array, slot: int, buf: Array, start: int, end: int, pool: Array, ends: Array, limit: int) -> int:
    """Number of the string at ``buf[start:end]`` in a growing list of strings; -1 when the list is full."""
    count = state[slot]
    for index in range(count):
        first = ends[index - 1] if index else 0
        if same(buf, start, end, pool, first, ends[index]):
            return index
    first = ends[count - 1] if count else 0
    if count >= limit or first + end - start > len(pool):
        return -1
    for index in range(end - start):
        pool[first + index] = buf[start + index]
    ends[count] = first + end - start
    state[slot] = count + 1
    return count


@compiled
def key_number(buf: Array, start: int, end: int, key_pool: Array, key_ends: Array) -> int:
    """Which of the keys stands at ``buf[start:end]``; -1 for none of them."""
    first = 0
    for index in range(len(key_ends)):
        if same(buf, start, end, key_pool, first, key_ends[index]):
            return index
        first = key_ends[index]
    return -1


@compiled
def digest(buf: Array, start: int, stop: int) -> int:
    """64 bits that stand for these bytes (FNV-1a)."""
    value: Any = np.int64(-3750763034362895579)
    for index in range(start, stop):
        value = (value ^ np.int64(buf[index])) * np.int64(1099511628211)
    return value
