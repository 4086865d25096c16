"""Kills between two effects: a change of a name or of a descriptor's bytes, or the commit of a transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

EFFECTS = ("rename", "replace", "link", "unlink", "remove", "rmdir", "mkdir", "write", "utime")


class Killed(BaseException):
    """The end of the process; it has no further effect, in a ``finally`` either."""


def killed(*_: object, **__: object) -> None:
    """Raise ``Killed``; the function stands for another that is killed at its start."""
    raise Killed


@contextmanager
def _before_effects(check: Callable[[], None]) -> Iterator[None]:
    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            check()
            return change(*arguments, **options)

        return changed

    def before_commit(_connection: Any) -> None:
        check()

    with pytest.MonkeyPatch.context() as patch:
        for name in EFFECTS:
            patch.setattr(os, name, watched(getattr(os, name)))
        event.listen(Engine, "commit", before_commit)
        try:
            yield
        finally:
            event.remove(Engine, "commit", before_commit)


def killed_before(step: int, work: Callable[[], object]) -> bool:
    """Do ``work``, killed before its effect number ``step`` (from 1); return False when it has fewer effects."""
    done = 0

    def check() -> None:
        nonlocal done
        done += 1
        if done >= step:
            raise Killed

    with _before_effects(check):
        try:
            work()
        except Killed:
            return True
    return done >= step


def done_before(step: int, act: Callable[[], bool], work: Callable[[], object]) -> int:
    """Do ``work``, and once ``act`` before its effect number ``step`` (from 1), as another process would.

    ``act`` returns False while it would have to wait for a lock that ``work`` holds; it is tried again before the next
    effect. It comes after ``work`` when there is no such effect.

    Returns:
        The number of effects of ``work``.
    """
    done = 0
    is_acting = has_acted = False

    def check() -> None:
        nonlocal done, is_acting, has_acted
        if is_acting:
            return
        done += 1
        if done >= step and not has_acted:
            is_acting = True
            try:
                has_acted = act()
            finally:
                is_acting = False

    with _before_effects(check):
        work()
    if not has_acted:
        assert act()
    return done
