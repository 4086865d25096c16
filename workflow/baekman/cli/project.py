"""``baekman project …``: research projects, the keys of their reviewers, and decisions."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from baekman.cli.options import HERE, KeyFileOption, RegistryOption, WorkspaceOption
from baekman.cli.shared.ended_consent import open_registry_and_sweep
from baekman.cli.shared.notes import note
from baekman.files.shown_text import printable

if TYPE_CHECKING:
    from baekman.projects.project import Project

app = typer.Typer(help="Research projects, the keys of reviewers, and decisions.", no_args_is_help=True)

ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="A project ID, J….")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON; docs/releases.md has its keys.")]
DAY = ["%Y-%m-%d"]
YEAR = timedelta(days=365)


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
        note("closed before" if project.is_closed else "added before: nothing to do")
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
        for listed in described:
            state = "closed" if listed.is_closed else "open"
            print(printable(columns.format(listed.id, state, listed.irb.expires.isoformat(), listed.title)))
        return
    opened = projects.open_project(workspace, project)
    values = opened.to_json()
    decisions = _decisions(opened)
    if as_json:
        print(json.dumps({**values, "decisions": decisions}, indent=1, ensure_ascii=False))
        return
    for key, value in values.items():
        print(printable(f"{key:<12}  {_shown(value)}"))
    for each in decisions:
        counts = each["fault"] or f"until {each['expires']}"
        words = (each["time"][:10], each["release"], each["plan"][:12], each["role"], each["verdict"], counts)
        print(printable("decision      " + "  ".join((*words, each["reviewer"], each["reason"]))))


def _decisions(project: Project) -> list[dict[str, str]]:
    """Return the decisions on a project as JSON values; the plan's SHA-256 is in ``plan``."""
    from baekman.projects.decisions import all_decisions

    values = [decision.to_json() for decision in all_decisions(project)]
    return [{**{key: each[key] for key in each if key != "seen"}, "plan": each["seen"]} for each in values]


def _shown(value: object) -> str:
    """Return a value of a description in a line."""
    if isinstance(value, dict):
        return ", ".join(str(each) for each in value.values())
    if isinstance(value, list):
        return "; ".join(map(_shown, value)) or "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


@app.command()
def key(
    workspace: WorkspaceOption = HERE,
    reviewer: Annotated[str, typer.Option("--reviewer", help="The name of the person.")] = "",
    role: Annotated[Literal["irb", "drb", "checker"] | None, typer.Option("--role", help="The role.")] = None,
    institution: Annotated[str, typer.Option("--institution", help="The institution of the person.")] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--key", help="Where to write the private part (mode 0600); the reviewer keeps it.", dir_okay=False
        ),
    ] = None,
    valid_from: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="First day; default: today.")
    ] = None,
    valid_to: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="Last day; default: a year after the first.")
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Make the key that signs releases instead.")] = False,
    revoke: Annotated[str, typer.Option("--revoke", help="Revoke the key with this ID instead.")] = "",
) -> None:
    """Make a reviewer's key, and print its ID. The same command again changes nothing.

    A reviewer is outside the project: a person who is inside of every open project is refused.
    --release makes the key that signs the releases of the workspace, and prints the file of its public part.

    Example: baekman project key --reviewer 이심사 --role irb --institution 연세대학교 --key ~/irb.key --workspace W
    """
    from baekman.consent import today
    from baekman.errors import InputRefused, Problem
    from baekman.projects import release_key, reviewers
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    if release:
        release_key.release_key(workspace)
        print(release_key.public_file(workspace))
        return
    if revoke:
        is_new = reviewers.revoke_key(workspace, revoke)
        note("revoked" if is_new else "revoked before: nothing to do")
        return
    if role is None or file is None:
        missing = "--role" if role is None else "--key"
        raise InputRefused(
            Problem(file=missing, expected="--reviewer, --role, --institution and --key", found=f"no {missing}")
        )
    first = _day(valid_from) or today()
    last = _day(valid_to) or first + YEAR
    person = reviewers.Reviewer(name=reviewer, role=role, institution=institution, valid_from=first, valid_to=last)
    for project, cause in reviewers.require_outside(workspace, person).items():
        note(f"note: a decision with this key on {project} is refused: {cause}")
    made, is_new = reviewers.make_reviewer_key(workspace, person, file=file)
    if not is_new:
        note("made before: nothing to do")
    print(made.id)


@app.command()
def keys(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the keys of reviewers.

    Example: baekman project keys --workspace W
    """
    from baekman.projects.reviewers import reviewer_keys
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    described = [each.to_json() for each in reviewer_keys(workspace).values()]
    if as_json:
        print(json.dumps(described, indent=1, ensure_ascii=False))
        return
    columns = "{:<16}  {:<7}  {:<10}  {:<10}  {:<7}  {}"
    print(columns.format("KEY", "ROLE", "FROM", "TO", "STATE", "REVIEWER"))
    for each in described:
        state = "revoked" if each["is_revoked"] else "valid"
        days = (each["valid_from"], each["valid_to"])
        person = f"{each['reviewer']}, {each['institution']}"
        print(printable(columns.format(each["key"][:16], each["role"], *days, state, person)))


@app.command()
def decide(
    project: ProjectArgument,
    release: Annotated[str, typer.Option("--release", help="The release, R…, of which the plan was seen.")],
    key: Annotated[Path, typer.Option("--key", help="The private part of your key.", dir_okay=False)],
    verdict: Annotated[Literal["approve", "revise", "reject"], typer.Option("--verdict", help="The verdict.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in a line. No names, numbers or IDs of persons.")],
    workspace: WorkspaceOption = HERE,
    expires: Annotated[
        datetime | None, typer.Option("--expires", formats=DAY, help="Last day; default: that of the IRB's approval.")
    ] = None,
    plan: Annotated[
        str, typer.Option("--plan", help="The hash in the dossier; a plan that has changed since is refused.")
    ] = "",
) -> None:
    """Sign a decision on the plan of a release; a plan that changes needs decisions again.

    Example: baekman project decide J… --release R… --key ~/irb.key --verdict approve --reason 'data is minimal'
    """
    from baekman.projects.decisions import Choice
    from baekman.projects.decisions import decide as record
    from baekman.projects.plan_hash import plan_hash
    from baekman.projects.project import open_project
    from baekman.projects.signing import SigningKey
    from baekman.releases.checks.order import foreign_note
    from baekman.releases.home import release_home
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    opened = open_project(workspace, project)
    choice = Choice(
        release=release,
        seen=plan_hash(opened, release, shown=plan),
        verdict=verdict,
        reason=reason,
        expires=_day(expires),
    )
    decision, is_new = record(opened, choice, key=SigningKey.read(key))
    if not is_new:
        note("decided so before: nothing to do")
    print(
        f"{decision.release}  {decision.role}  {decision.verdict}  until {decision.expires}  plan {decision.seen[:12]}"
    )
    seen = release_home(workspace, release).read_plan()
    if foreign := foreign_note(seen):
        note(foreign)
    if verdict == "approve" and (failing := ", ".join(check.code for check in seen.failures)):
        note(f"note: nothing is built while a check fails ({failing}): ask the applicants to change the request")


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None


@app.command()
def close(
    project: ProjectArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a line. No names, numbers or IDs of persons.")],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Close a project for good: its book is destroyed, so nothing maps its IDs back, and releases refuse it.

    Its packages with rows of participants are revoked; counts (tier open) stay.

    Example: baekman project close J… --reason 'the study has ended' --workspace W
    """
    from baekman.projects.closing import close as close_project
    from baekman.projects.project import open_project
    from baekman.releases.package.revocation import revoke_project
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    opened = open_project(workspace, project)
    keys = open_registry_and_sweep(Workspace(workspace), registry=registry, key_file=key_file)
    is_new = close_project(opened, reason=reason, registry=keys)
    for home in revoke_project(workspace, opened.id, registry=keys):
        note(f"release {home.id} is revoked; `baekman release status` lists who must delete it")
    note("closed: its book is destroyed" if is_new else "closed before: nothing to do")
