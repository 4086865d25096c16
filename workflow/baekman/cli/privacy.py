"""Leak scan and withdrawal."""

from __future__ import annotations

import itertools
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from baekman.cli.options import HERE, KeyFileOption, RegistryOption, WorkersOption, WorkspaceOption

app = typer.Typer(help="Leak scan and withdrawal.", no_args_is_help=True)


@app.command()
def leakscan(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Files and folders to look into.", readable=False)
    ],
    identifiers: Annotated[
        Path,
        typer.Option("--identifiers", help="What must not be found: one per line, or a registration table."),
    ],
    exclude: Annotated[
        list[Path] | None, typer.Option("--exclude", help="A file or folder to leave out (repeat).")
    ] = None,
) -> None:
    """Look for identifiers inside every file, in many encodings; exit code 1 when one is found.

    Each finding is a line: the identifier by its line in the list, the form, the file and the place in it.

    Example: baekman leakscan W/participants W/tables --identifiers registration.tsv
    """
    from baekman.privacy.leak_patterns import is_too_short, matcher_of
    from baekman.privacy.leakscan import scan
    from baekman.registry.confidential import read_identifiers

    missing = [number for number, path in enumerate(paths, 1) if not path.is_symlink() and not path.exists()]
    if missing:
        raise typer.BadParameter(f"no such file or folder (argument {missing[0]})", param_hint="PATH")
    looked_for = read_identifiers(identifiers)
    for identifier in looked_for:
        if is_too_short(identifier.value):
            print(f"{identifier.place}: too short to look for but by its hashes", file=sys.stderr)
    console = Console(stderr=True)
    with console.status("") if console.is_terminal else nullcontext() as status:

        def show(path: Path) -> None:
            if status is not None:
                # the number of the file, not its name, which may be a finding
                status.update(f"{next(count):,} files and folders")

        count = itertools.count(1)
        result = scan(paths, matcher=matcher_of(looked_for), exclude=exclude or (), seen=show)
    for leak in result.leaks:
        times = f" ({leak.count} times)" if leak.count > 1 else ""
        print(f"{leak.place}: {leak.encoding} in {leak.file}: {leak.where} at byte {leak.offset}{times}")
    for file, why in result.damaged:
        print(f"{file}: read in part: {why}", file=sys.stderr)
    for file, why in result.unread:
        print(f"{file}: not read: {why}", file=sys.stderr)
    if result.leaks or result.unread:
        raise typer.Exit(1)


@app.command()
def withdraw(
    participant: Annotated[str, typer.Argument(metavar="ID", help="A participant ID, P….")],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    workers: WorkersOption = 1,
    leave_tables: Annotated[
        bool, typer.Option("--leave-tables", help="Leave the others' tables to the next freeze.")
    ] = False,
) -> None:
    """Remove a participant from every layer and print the receipt, which is also saved in WORKSPACE/receipts.

    Whoever's table counted the participant gets a new one, unless --leave-tables.
    Done again it changes nothing. A delivery that runs meanwhile ends without the participant.

    Example: baekman withdraw P0123456789ABC --workspace W
    """
    from baekman.registry.records import open_registry
    from baekman.withdrawal import withdraw as withdraw_everywhere
    from baekman.workspace.paths import Workspace

    opened = open_registry(workspace, registry=registry, key_file=key_file)
    receipt = withdraw_everywhere(
        Workspace(workspace), participant, registry=opened, workers=workers, leave_tables=leave_tables
    )
    changed = receipt.pop("changed")
    print(json.dumps(receipt, indent=1, sort_keys=True))
    if not changed:
        print("withdrawn before: nothing to do", file=sys.stderr)
