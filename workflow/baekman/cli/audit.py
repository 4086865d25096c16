"""``baekman audit …``: the audit log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import HERE, WorkspaceOption

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.command()
def verify(
    head: Annotated[
        Path | None,
        typer.Option("--head", help="A saved head: also detects a cut tail and a rewritten log."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--public-key", help="The key that signed the head; default: the workspace's."),
    ] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Check the log; print a line for every edit, deletion, change of order and fork, and exit with 1 if there is any.

    Example: baekman audit verify --workspace W --head saved-head.json
    """
    from baekman import audit
    from baekman.audit import signed_head
    from baekman.errors import InputRefused
    from baekman.workspace.identity import no_workspace

    if not workspace.is_dir():
        raise no_workspace(workspace)
    file = audit.log_file(workspace)
    pinned = signed_head.read_public_key(key) if key else signed_head.public_key(workspace)
    saved = signed_head.read_signed_head(head, public_key=pinned) if head else None
    problems = [
        f"line {link.line}: {link.problem}" if link.line else link.problem for link in audit.verify(file, head=saved)
    ]
    try:
        audit.require_whole(workspace)
    except InputRefused as refused:
        problems += map(str, refused.problems)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    lost = audit.lost_before(file)
    was_lost = f"; events 1 to {lost} were lost before it was begun again" if lost else ""
    print(f"{sum(1 for _ in audit.events(workspace))} events, whole{was_lost}")


@app.command()
def head(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to save it; default: standard output."),
    ] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Print or save the signed head of the log; keep it where the log's writers cannot reach.

    Example: baekman audit head --workspace W --output /safe/place/head.json
    """
    from baekman.audit import signed_head
    from baekman.files import atomic
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    text = json.dumps(signed_head.make_head(workspace), indent=1, sort_keys=True) + "\n"
    if output:
        atomic.write_text(output, text)
    else:
        print(text, end="")


@app.command()
def show(
    object: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Only the events about this pseudonymous ID."),
    ] = None,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Print the events, one JSON object per line.

    Example: baekman audit show P0123456789ABC --workspace W
    """
    from baekman import audit, pseudonyms
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    if object is not None and re.fullmatch(pseudonyms.PATTERN, object) and not pseudonyms.is_valid(object):
        raise typer.BadParameter("a wrong check character: copy it again from where it was issued", param_hint="ID")
    for event in audit.events(workspace):
        if object is None or object in event["object"].split(","):
            print(json.dumps(event, sort_keys=True))
    audit.require_whole(workspace)


@app.command()
def restart(workspace: WorkspaceOption = HERE) -> None:
    """Begin the log again after it was lost and no back-up has it; its first event says so for ever.

    What is left of the old log stays next to it. A whole log stays as it is.

    Example: baekman audit restart --workspace W
    """
    from baekman import audit

    lost = audit.restart(workspace)
    if lost is None:
        print("the log is whole: nothing to do")
    else:
        print(f"the log begins again after event {lost}; events that no back-up has are lost")
