"""``baekman release …``: the rows of some participants for a reviewed project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baekman.cli.options import HERE, KeyFileOption, RegistryOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from baekman.releases.plan import Check

app = typer.Typer(help="Releases to reviewed projects: proposed, reviewed, built, verified.", no_args_is_help=True)

ReleaseArgument = Annotated[str, typer.Argument(metavar="RELEASE", help="A release ID, R….")]


@app.command()
def propose(
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="The request, request.yaml.", dir_okay=False)],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Make the plan of a release and its dossier; prints the release's ID, the hash of the plan and its checks.

    The same request over the same data is the same release. Nothing is released before two reviewers approve the plan.

    Example: baekman release propose request.yaml --workspace W
    """
    from baekman.registry.denied_list import open_in_force
    from baekman.releases.propose import propose as make_proposal
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    opened = open_in_force(Workspace(workspace), registry=registry, key_file=key_file)
    home, plan = make_proposal(workspace, request, registry=opened)
    typer.echo(home.id)
    typer.echo(f"plan {plan.hash}")
    _print_checks(check for check in plan.checks if check.verdict != "pass")


@app.command()
def review(release: ReleaseArgument, workspace: WorkspaceOption = HERE) -> None:
    """Print the plan's hash, every check with its decisions today, and the path of the dossier.

    A line of a check has its number, code, what was observed, its limit and its verdict, with tabs between them.

    Example: baekman release review R… --workspace W
    """
    from baekman.consent import today
    from baekman.projects.project import open_project
    from baekman.releases.checks.order import decisions
    from baekman.releases.home import release_home

    home = release_home(workspace, release)
    plan = home.read_plan()
    typer.echo(f"plan {plan.hash}")
    _print_checks([*plan.checks, decisions(open_project(workspace, plan.project), plan, at=today())])
    typer.echo(str(home.review))


def _print_checks(checks: Iterable[Check]) -> None:
    from baekman.releases.checks.order import NUMBERS

    for check in sorted(checks, key=lambda check: NUMBERS[check.code]):
        values = [NUMBERS[check.code], check.code, check.observed, check.limit, check.verdict]
        typer.echo("\t".join("" if value is None else str(value) for value in values))
