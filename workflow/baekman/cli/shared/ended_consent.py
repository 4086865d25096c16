"""The packages of releases whose members' consent has ended by its date: commands that open the registry revoke them.

The first such command of a day asks the consent of all members; ``baekman release revoke --changed`` asks at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from baekman.errors import InputRefused
from baekman.files.shown_text import printable

if TYPE_CHECKING:
    from baekman.registry.records import Registry
    from baekman.workspace.paths import Workspace


def say(line: str) -> None:
    """Print a line on stderr, also with ``--quiet``: a person must inform those who have copies of a package."""
    print(printable(line), file=sys.stderr, flush=True)


def open_registry_and_sweep(
    workspace: Workspace, *, registry: str | None = None, key_file: Path | None = None, finishing: str | None = None
) -> Registry:
    """Open the registry as ``withdrawal.open_registry_and_sweep``; then revoke what has ended, unless asked today.

    With ``finishing``, the withdrawal of this participant revokes its packages itself.
    """
    from baekman import withdrawal

    opened = withdrawal.open_registry_and_sweep(workspace, registry=registry, key_file=key_file, finishing=finishing)
    if finishing is None:
        revoke_ended(workspace.root, registry=opened)
    return opened


def revoke_ended(workspace: Path, *, registry: Registry, report: Callable[[str], None] = say) -> None:
    """Revoke packages with a member of ended consent, unless asked today; ``report`` gets a line for each."""
    from baekman.workspace.paths import Workspace

    if not Workspace(workspace).releases.is_dir():
        return
    from baekman.releases.package import revocation

    if not revocation.is_asked_today(workspace):
        for line in revocation.revoke_ended(workspace, registry=registry):
            report(line)


def open_and_revoke_ended(
    workspace: Path,
    *,
    registry: str | None = None,
    key_file: Path | None = None,
    report: Callable[[str], None] = say,
) -> None:
    """Do as ``revoke_ended``, and open the registry only where something is to be asked.

    A registry that cannot be opened is left to the command that needs it.
    """
    from baekman.workspace.paths import Workspace

    if not Workspace(workspace).releases.is_dir():
        return
    from baekman.registry.denied_list import open_in_force
    from baekman.releases.package.revocation import is_asked_today

    if not is_asked_today(workspace):
        with suppress(InputRefused):
            opened = open_in_force(Workspace(workspace), registry=registry, key_file=key_file)
            revoke_ended(workspace, registry=opened, report=report)


def daily_revocation(workspace: Path) -> Callable[[], None]:
    """Return a function that does as ``open_and_revoke_ended``, and reports each line once."""
    said: set[str] = set()

    def report(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return partial(open_and_revoke_ended, workspace, report=report)
