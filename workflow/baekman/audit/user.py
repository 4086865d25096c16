"""The person who runs a command: the user of the operating system, and the name in ``BAEKMAN_ACTOR``."""

from __future__ import annotations

import os
import pwd
import re
from functools import cache

from baekman.audit.lines import WORD
from baekman.errors import InputRefused, Problem

ACTOR_VARIABLE = "BAEKMAN_ACTOR"
PURPOSE_VARIABLE = "BAEKMAN_PURPOSE"
SUDO_VARIABLE = "SUDO_UID"

# A resident registration number or a mobile telephone number, with or without separators: a word by its form only.
_PERSONAL_NUMBER = re.compile(
    r"(?<![0-9])(?:[0-9]{6}[-_.:]?[0-9]{7}|01[016789][-_.:]?[0-9]{3,4}[-_.:]?[0-9]{4})(?![0-9])"
)


def user_fields() -> dict[str, str | int]:
    """Return the fields of an event that name its user: ``actor user uid sudo_user``.

    ``user`` and ``uid`` are the login name and number of the process's real user, whatever the environment says.
    ``sudo_user`` is the login name of sudo's caller by ``SUDO_UID``, else "". ``actor`` is ``BAEKMAN_ACTOR``, else the
    number of the user. A user without a plain login name is ``uid:`` with the number.

    Raises:
        InputRefused: ``BAEKMAN_ACTOR`` is no word, or a personal number.
    """
    uid = os.getuid()
    caller = os.environ.get(SUDO_VARIABLE, "")
    is_number = re.fullmatch(r"[0-9]{1,10}", caller) is not None
    return {
        "actor": word_of(ACTOR_VARIABLE) or f"uid:{uid}",
        "user": _login_name(uid),
        "uid": uid,
        "sudo_user": _login_name(int(caller)) if is_number else "",
    }


def word_of(variable: str) -> str:
    """Return the word in an environment variable, "" without one; InputRefused for anything else."""
    value = os.environ.get(variable, "")
    if value and (not WORD.fullmatch(value) or _PERSONAL_NUMBER.search(value)):
        raise InputRefused(
            Problem(
                file=variable,
                expected="one word of up to 80 letters, digits and _ . : -, and no personal number",
                found="something else",
            )
        )
    return value


@cache
def _login_name(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        name = ""
    return name if WORD.fullmatch(name) else f"uid:{uid}"
