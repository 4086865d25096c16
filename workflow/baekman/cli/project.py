"""``baekman project …``: research projects, the keys of their reviewers, and decisions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import HERE, WorkspaceOption
from baekman.files.shown_text import printable

app = typer.Typer(help="Research projects, the keys of reviewers, and decisions.", no_args_is_help=True)

ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="A project ID, J….")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The description, project.yaml.", dir_okay=False)],
    workspace: WorkspaceOption = HERE,
) -> None:
    """Add a project and print its ID. The same description again is the same project.

    Example: baekman project add project.yaml --workspace W
    """
    from baekman.projects.project import add_project
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    project, is_new = add_project(workspace, file)
    if not is_new:
        print("closed before" if project.is_closed else "added before: nothing to do", file=sys.stderr)
    print(project.id)


@app.command()
def show(
    project: Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="A project ID, J…; default: all.")] = None,
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show a project with its decisions, or list all projects.

    Example: baekman project show J… --workspace W
    """
    from baekman.projects import project as projects
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    if project is None:
        described = list(projects.projects(workspace))
        if as_json:
            print(json.dumps([each.to_json() for each in described], indent=1, ensure_ascii=False))
            return
        columns = "{:<14}  {:<6}  {:<10}  {}"
        print(columns.format("PROJECT", "STATE", "IRB UNTIL", "TITLE"))
        for each in described:
            state = "closed" if each.is_closed else "open"
            print(printable(columns.format(each.id, state, each.irb.expires.isoformat(), each.title)))
        return
    values = projects.open_project(workspace, project).to_json()
    if as_json:
        print(json.dumps(values, indent=1, ensure_ascii=False))
        return
    for key, value in values.items():
        print(printable(f"{key:<12}  {_shown(value)}"))


def _shown(value: object) -> str:
    """Return a value of a description in a line."""
    if isinstance(value, dict):
        return ", ".join(str(each) for each in value.values())
    if isinstance(value, list):
        return "; ".join(map(_shown, value)) or "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
