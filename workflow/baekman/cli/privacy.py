"""Commands on privacy: the leak scan and the withdrawal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import CORES, HERE, KeyFileOption, RegistryOption, WorkersOption, WorkspaceOption
from baekman.cli.shared.ended_consent import open_registry_and_sweep
from baekman.cli.shared.notes import note
from baekman.cli.shared.receipts import revocation_lines, summary
from baekman.engine.progress import file_count

app = typer.Typer(help="Leak scan and withdrawal.", no_args_is_help=True)


@app.command()
def leakscan(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders to scan.", readable=False)],
    identifiers: Annotated[
        Path,
        typer.Option("--identifiers", help="Identifiers to search for: one per line, or a registration table."),
    ],
    exclude: Annotated[
        list[Path] | None, typer.Option("--exclude", help="A file or folder to leave out (repeat).")
    ] = None,
) -> None:
    """Search all files for identifiers, in many encodings; exit with code 1 when there is a leak.

    Prints a line for each leak: the line of the identifier in its list, the encoding, the file and the place in it.

    Example: baekman leakscan W/participants W/tables --identifiers registration.tsv
    """
    from baekman import audit
    from baekman.privacy.leak_patterns import is_too_short, matcher_of
    from baekman.privacy.leakscan import scan
    from baekman.registry.confidential import read_identifiers

    missing = [number for number, path in enumerate(paths, 1) if not path.is_symlink() and not path.exists()]
    if missing:
        raise typer.BadParameter(f"no such file or folder (argument {missing[0]})", param_hint="PATH")
    listed = read_identifiers(identifiers)
    for identifier in listed:
        if is_too_short(identifier.value):
            note(f"{identifier.place}: too short to search for, except by its hashes")
    for workspace in sorted(set(filter(None, map(audit.workspace_of, paths)))):
        audit.record(workspace, action="leakscan")
    with file_count() as seen:
        result = scan(paths, matcher=matcher_of(listed), exclude=exclude or (), seen=seen)
    for leak in result.leaks:
        times = f" ({leak.count} times)" if leak.count > 1 else ""
        print(f"{leak.place}: {leak.encoding} in {leak.file}: {leak.where} at byte {leak.offset}{times}")
    for file, fault in result.damaged:
        print(f"{file}: read in part: {fault}", file=sys.stderr)
    for file, fault in result.unread:
        print(f"{file}: not read: {fault}", file=sys.stderr)
    if result.leaks or result.unread:
        raise typer.Exit(1)


@app.command()
def withdraw(
    participant: Annotated[str, typer.Argument(metavar="ID", help="A participant ID, P….")],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    workers: WorkersOption = CORES,
    leave_tables: Annotated[
        bool, typer.Option("--leave-tables", help="Leave the tables of others to the next freeze.")
    ] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Only records of clinical, lifestyle or public_record_linkage (repeat)."),
    ] = None,
) -> None:
    """Remove a participant from every layer and print the receipt, which is also saved in WORKSPACE/receipts.

    A summary on stderr says what is gone, what was revoked, and who must delete copies outside the workspace.

    With --scope, records of these scopes alone are removed, and their withdrawal is recorded in the registry. Packages
    of releases that have the participant, with the scope, are revoked either way.

    Tables of others that counted the participant are written again, unless --leave-tables.
    A second call changes nothing. A delivery that runs at the same time ends without the participant.

    Example: baekman withdraw P0123456789ABC --workspace W
    """
    from baekman.withdrawal import withdraw as withdraw_everywhere
    from baekman.workspace.paths import Workspace

    place = Workspace(workspace)
    if scope:
        from baekman.records.withdrawal import withdraw_scopes
        from baekman.releases.package.revocation import copies_outside, revoke_changed

        opened = open_registry_and_sweep(place, registry=registry, key_file=key_file)
        left = withdraw_scopes(place, participant, scope, registry=opened, workers=workers)
        revoked = revoke_changed(workspace, registry=opened, participant=participant)
        outside = copies_outside(workspace, participant, registry=opened)
        left |= {"revoked": [home.id for home in revoked]} if revoked else {}
        print(json.dumps({**left, **outside}, indent=1, ensure_ascii=False))
        for line in revocation_lines(participant, outside.get("releases", ())):
            note(line)
        return
    opened = open_registry_and_sweep(place, registry=registry, key_file=key_file, finishing=participant)
    receipt = withdraw_everywhere(place, participant, registry=opened, workers=workers, leave_tables=leave_tables)
    changed = receipt.pop("changed")
    print(json.dumps(receipt, indent=1, sort_keys=True, ensure_ascii=False))
    lines = summary(receipt) if changed else revocation_lines(participant, receipt.get("releases", ()))
    for line in lines:
        note(line)
    if not changed:
        note("withdrawn before: nothing to do")
