"""``baekman release …``: the rows of some participants for a reviewed project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baekman.cli.options import (
    CORES,
    HERE,
    InsecureOption,
    KeyFileOption,
    ProfileOption,
    RegistryOption,
    SchedulerOption,
    WorkersOption,
    WorkspaceOption,
)
from baekman.cli.shared.ended_consent import revoke_ended
from baekman.cli.shared.notes import note
from baekman.files.shown_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from baekman.registry.records import Registry
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
    revoke_ended(workspace, registry=opened)
    home, plan = make_proposal(workspace, request, registry=opened)
    typer.echo(home.id)
    typer.echo(f"plan {plan.hash}")
    _print_checks(check for check in plan.checks if check.verdict != "pass")
    if home.is_revoked:
        note(f"note: {home.id} was revoked and is never built again: say in `why` what has changed, for a new plan")


@app.command()
def review(release: ReleaseArgument, workspace: WorkspaceOption = HERE) -> None:
    """Print the plan's hash, every check with the decisions of today, and the path of the dossier.

    The lines of the checks have a header; between their columns are tabs. Check 11 is known when the package is built.

    Example: baekman release review R… --workspace W
    """
    from baekman.consent import today
    from baekman.projects.project import open_project
    from baekman.releases.checks.order import decisions, foreign_note, leak_scan
    from baekman.releases.home import release_home

    home = release_home(workspace, release)
    plan = home.read_plan()
    typer.echo(f"plan {plan.hash}")
    decided = decisions(open_project(workspace, plan.project), plan, at=today())
    _print_checks([*plan.checks, decided, leak_scan(is_built=home.package.is_dir())])
    typer.echo(str(home.review))
    if (foreign := foreign_note(plan)) and not home.package.is_dir():
        note(foreign)


def _print_checks(checks: Iterable[Check]) -> None:
    """Print ``checks`` by number, below a header; nothing without any."""
    from baekman.releases.checks.order import NUMBERS

    listed = sorted(checks, key=lambda check: NUMBERS.get(check.code, len(NUMBERS)))  # the last: of another version
    if listed:
        typer.echo("number\tcheck\tobserved\tlimit\tverdict")
    for check in listed:
        values = [NUMBERS.get(check.code), check.code, check.observed, check.limit, check.verdict]
        typer.echo("\t".join("" if value is None else str(value) for value in values))


@app.command()
def build(
    release: ReleaseArgument,
    workspace: WorkspaceOption = HERE,
    workers: WorkersOption = CORES,
    scheduler: SchedulerOption = None,
    insecure: InsecureOption = False,
    profile: ProfileOption = None,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Write the package of an approved release; prints its folder.

    Consent and decisions are asked before and after. The plan is made again, and a changed one is refused. After a kill
    the same command goes on. The bytes are the same for any number of workers. With --profile, buckets and shards are
    jobs of Snakemake.

    Example: baekman release build R… --workspace W --workers 8
    """
    from baekman.engine.local import Engine
    from baekman.releases.package.build import build_release

    opened = _open(workspace, registry=registry, key_file=key_file)
    revoke_ended(workspace, registry=opened)
    engine = Engine(workers=workers, scheduler=scheduler, insecure=insecure)
    built = build_release(workspace, release, registry=opened, engine=engine, profile=profile or "", warn=note)
    typer.echo(str(built))


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a package.", exists=True, file_okay=False)
    ],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The sender's public key, release.pub; default: that of the package's workspace."),
    ] = None,
    revoked: Annotated[
        list[Path] | None,
        typer.Option("--revoked", help="A later manifest, or a folder of them, that the sender published; repeatable."),
    ] = None,
    recipient_key: Annotated[
        Path | None,
        typer.Option("--recipient-key", help="Of a transfer: the recipient's private Crypt4GH key, to decrypt it too."),
    ] = None,
) -> None:
    """Compare every byte of a package with its signed manifest; needs the public key and nothing else.

    Later manifests in the folder `revoked` next to the package count too. With --recipient-key, what the files of a
    transfer decrypt to is compared too, in memory; BAEKMAN_CRYPT4GH_PASSPHRASE has the key's passphrase.

    Example: baekman release verify package --key release.pub
    """
    from baekman.intake.crypt4gh import recipient_key as read_recipient_key
    from baekman.projects.signing import PublicKey
    from baekman.releases.package.verify import later_manifests, verify_package

    recipient = read_recipient_key(recipient_key) if recipient_key else None
    verified = verify_package(
        folder, key=PublicKey.read(key or _own_key(folder)), revoked=revoked or [], recipient=recipient
    )
    typer.echo(verified.line())
    for place in revoked or []:
        if not later_manifests(place):
            note(f"note: --revoked: {printable(place.name)} has no later manifest: whether it is revoked is not known")


def _own_key(folder: Path) -> Path:
    """Return the public key of the workspace that has the package ``folder``."""
    from baekman.projects.release_key import public_file

    for place in folder.resolve().parents:
        if (key := public_file(place)).is_file():
            return key
    raise typer.BadParameter("outside of a workspace it needs the sender's public key, release.pub", param_hint="--key")


@app.command()
def revoke(
    release: Annotated[str, typer.Argument(metavar="[RELEASE]", help="A release ID, R…; not with --changed.")] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Why, in a line; the recipients read it. Default: no reason was stated.")
    ] = "",
    changed: Annotated[
        bool, typer.Option("--changed", help="Every release with a member whose consent, or a scope of it, has ended.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    participant: Annotated[str, typer.Option("--participant", help="A member because of whom it is revoked.")] = "",
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Revoke a release: write the next manifest, delete the package here; prints who must delete copies outside.

    `baekman withdraw` and `baekman registry consent` revoke at once what a participant takes back. A consent that ends
    by its date, or at majority, ends without a command: --changed revokes every package with it, and so does the first
    command of a day that opens the registry.

    Example: baekman release revoke R… --reason 'an institution corrected its records' --workspace W
    """
    from baekman.releases.package.revocation import NO_REASON, revoke_changed, revoke_release, statuses

    if bool(release) == changed or (changed and (participant or reason)):
        raise typer.BadParameter("either a release, or --changed alone", param_hint="RELEASE")
    opened = _open(workspace, registry=registry, key_file=key_file)
    if changed:
        homes = revoke_changed(workspace, registry=opened)
    else:
        homes = [
            revoke_release(workspace, release, registry=opened, reason=reason or NO_REASON, participant=participant)
        ]
    _print_statuses([status for home in homes for status in statuses(workspace, release=home.id)])


@app.command()
def status(
    release: Annotated[str, typer.Argument(metavar="[RELEASE]", help="A release ID, R…; else all.")] = "",
    workspace: WorkspaceOption = HERE,
    participant: Annotated[str, typer.Option("--participant", help="Only releases with this member, P….")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/releases.md has its keys.")] = False,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """List releases: proposed, built or revoked, and who must delete which copies outside the workspace.

    With the registry, it also shows packages with a member who has taken consent back since; --participant needs it.

    Example: baekman release status --participant P… --workspace W
    """
    from baekman.errors import InputRefused
    from baekman.pseudonyms import check
    from baekman.releases.package.revocation import statuses
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    opened = None
    try:
        opened = _open(workspace, registry=registry, key_file=key_file)
    except InputRefused as refusal:
        if participant:
            raise
        typer.echo(f"consent of members was not asked: {refusal.problems[0]}", err=True)
    wanted = check(participant, "P") if participant else ""
    faults: list[Exception] = []
    found = statuses(workspace, release=release, participant=wanted, registry=opened, faults=faults)
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _print_statuses(found)
    if faults:
        raise faults[0]


def _open(workspace: Path, *, registry: str | None, key_file: Path | None) -> Registry:
    """Return the open registry of ``workspace``, with all its denials in force."""
    from baekman.registry.denied_list import open_in_force
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    return open_in_force(Workspace(workspace), registry=registry, key_file=key_file)


def _print_statuses(statuses: Sequence[dict[str, Any]]) -> None:
    """Print releases below a header, with lines about each; nothing without any."""
    columns = ("release", "project", "tier", "members", "state")
    if statuses:
        typer.echo("\t".join(columns))
    for each in statuses:
        typer.echo("\t".join(str(each[name]) for name in columns))
        if each["changed"]:
            typer.echo(
                f"  {each['changed']} members whose consent, or a scope of it, has ended: it may not be read; "
                "run `baekman release revoke --changed`"
            )
        for later in each["revoked"]:
            typer.echo(printable(f"  revoked {later['day']} by {later['manifest']}: {later['reason']}"))
        for person in each["delete"]:
            place = f" ({person['institution']})" if person["institution"] else ""
            typer.echo(printable(f"  every copy must be deleted by {person['name']}{place}"))
