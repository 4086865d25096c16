"""``baekman registry …``: registrations and consent."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baekman.cli.options import HERE, KeyFileOption, RegistryOption, WorkspaceOption, page_file
from baekman.cli.shared.ended_consent import open_registry_and_sweep
from baekman.cli.shared.notes import note

if TYPE_CHECKING:
    from baekman.consent import ConsentEvent
    from baekman.registry.records import Registry
    from baekman.workspace.paths import Workspace

app = typer.Typer(help="The registry: registrations, pseudonyms and consent.", no_args_is_help=True)


def _decision(text: str | None) -> str | None:
    from baekman.consent import Decision

    if text is not None and text not in tuple(Decision):
        raise typer.BadParameter(f"one of {' '.join(Decision)}")
    return text


def _scopes(names: list[str] | None) -> list[str] | None:
    from baekman.consent import ALL_SCOPES

    if names and not set(names) <= set(ALL_SCOPES):
        raise typer.BadParameter(f"any of {' '.join(ALL_SCOPES)}")
    return names


ParticipantArgument = Annotated[str, typer.Argument(metavar="PARTICIPANT", help="A participant ID, P….")]


@app.command()
def init(workspace: WorkspaceOption = HERE, registry: RegistryOption = None, key_file: KeyFileOption = None) -> None:
    """Make an empty registry and its key.

    Example: baekman registry init --workspace W
    """
    from baekman.registry.records import create_registry
    from baekman.workspace.identity import identify, refuse_inside_of_workspace
    from baekman.workspace.paths import Workspace

    refuse_inside_of_workspace(workspace)
    opened, made = create_registry(workspace, registry=registry, key_file=key_file)
    identify(Workspace(workspace))
    print("registry made" if made else "registry is there already: nothing to do")
    if made and opened.ring.file is not None:
        print("keep a copy of its key file in a safe place: without it nothing in the registry can be read")


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Registration tables, TSV or CSV.", readable=False)
    ],
    correct: Annotated[
        bool, typer.Option("--correct", help="Replace values of the registry that differ from the tables.")
    ] = False,
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Import registration tables: all rows, or none and a line for every problem.

    A consent that the tables end or narrow revokes the packages of releases that have the participant.

    Example: baekman registry import registration.tsv --workspace W
    """
    from baekman.files.digests import sha256_of
    from baekman.registry.denied_list import consent_change
    from baekman.registry.importing import import_registrations
    from baekman.withdrawal import leave_waiting_of
    from baekman.workspace.paths import Workspace

    place = Workspace(workspace)
    opened = open_registry_and_sweep(place, registry=registry, key_file=key_file)
    action = "registry.correct" if correct else "registry.import"
    events = [{"action": action, "input_hash": sha256_of(file)} for file in files if file.is_file()]
    with consent_change(place, registry=opened, events=events) as change:
        summary = import_registrations(opened, files, correct=correct, change=change)
    leave_waiting_of(place)
    _revoke_changed(place, registry=opened)
    print(
        f"{summary.rows} rows: {summary.participants} new participants, {summary.specimens} new specimens, "
        f"{summary.consent_events} new consent events, {summary.corrected} participants updated"
    )


@app.command()
def show(workspace: WorkspaceOption = HERE, registry: RegistryOption = None, key_file: KeyFileOption = None) -> None:
    """Print one pseudonymous row per participant, tab-separated, and the totals on stderr.

    Example: baekman registry show --workspace W
    """
    from baekman import audit
    from baekman.registry.listing import PARTICIPANT_COLUMNS, participant_rows
    from baekman.workspace.paths import Workspace

    opened = open_registry_and_sweep(Workspace(workspace), registry=registry, key_file=key_file)
    # before the first row: a reader such as `head` may end the command early
    audit.record(workspace, action="registry.show")
    writer = csv.DictWriter(sys.stdout, PARTICIPANT_COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    counts: dict[str, int] = {}
    for row in participant_rows(opened):
        counts[row["genome"]] = counts.get(row["genome"], 0) + 1
        writer.writerow(row)
    total = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    note(f"{sum(counts.values())} participants{': ' if total else ''}{total}")


@app.command()
def verify(workspace: WorkspaceOption = HERE, registry: RegistryOption = None, key_file: KeyFileOption = None) -> None:
    """Check all rows against their seals, array genotypes and books; exit with 3 and a line for each that was changed.

    Example: baekman registry verify --workspace W
    """
    from baekman.errors import InputRefused
    from baekman.registry.books import every_book
    from baekman.registry.denied_list import require_seen
    from baekman.registry.records import open_registry
    from baekman.workspace.paths import Workspace

    opened = open_registry(workspace, registry=registry, key_file=key_file)
    opened.guard.require_whole()
    opened.require_arrays()
    every_book.require_whole(opened)
    rows = opened.guard.head().rows
    print(f"whole: {rows['participants']} participants, {rows['specimens']} specimens, {rows['consent_events']} events")
    try:
        require_seen(Workspace(workspace), opened)
    except InputRefused as refusal:  # an older copy is whole too, and the next step after a restore
        for problem in refusal.problems:
            note(f"note: {problem}")


@app.command()
def upgrade(workspace: WorkspaceOption = HERE, registry: RegistryOption = None, key_file: KeyFileOption = None) -> None:
    """Seal the records of a registry that an earlier version made without seals, as they are, once.

    Refused when the registry, the workspace or its audit log shows that there were seals.

    Example: baekman registry upgrade --workspace W
    """
    from baekman import audit
    from baekman.registry.records import open_registry
    from baekman.registry.seal.upgrade import Unsealed
    from baekman.workspace.paths import Workspace

    with audit.use(workspace, action="registry.upgrade"):
        opened = open_registry(workspace, registry=registry, key_file=key_file, unsealed=Unsealed.SEAL)
    open_registry_and_sweep(Workspace(workspace), registry=registry, key_file=key_file)
    rows = opened.guard.head().rows
    state = "sealed as they are" if opened.was_unsealed else "were sealed before: nothing to do"
    print(f"{rows['participants']} participants and {rows['specimens']} specimens {state}")


@app.command()
def consent(
    participant: ParticipantArgument,
    decision: Annotated[
        str | None,
        typer.Option(
            help="granted, refused or withdrawn: add this event. Without it, print the state.", callback=_decision
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="genome, clinical, lifestyle, public_record_linkage, … (repeat); default: genome, "
            "or all of them unless granted.",
            callback=_scopes,
        ),
    ] = None,
    begins: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; default: today.")
    ] = None,
    ends: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; default: no end.")
    ] = None,
    template: Annotated[str, typer.Option(help="The consent form.")] = "",
    template_version: Annotated[str, typer.Option(help="Its version.")] = "",
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Print a participant's consent by scope and DUO code, or add an event to it.

    What a participant takes back revokes the packages of releases that have it.

    Example: baekman registry consent P0123456789ABC --decision granted --scope genome --scope clinical
    """
    from baekman import audit
    from baekman.consent import ALL_SCOPES, ConsentEvent, Decision, Scope, duo_codes, today
    from baekman.workspace.paths import Workspace

    place = Workspace(workspace)
    opened = open_registry_and_sweep(place, registry=registry, key_file=key_file)
    opened.require_participant(participant)
    if decision is None:
        audit.record(workspace, action="registry.consent.show", object=participant)
    else:
        event = ConsentEvent(
            participant_id=participant,
            decision=Decision(decision),
            scopes=tuple(map(Scope, scope or ())) or ((Scope.GENOME,) if decision == Decision.GRANTED else ALL_SCOPES),
            valid_from=begins.date() if begins else today(),
            valid_to=ends.date() if ends else None,
            template=template,
            template_version=template_version,
        )
        _add_consent(place, event, registry=opened)
    states = opened.consent_states(participant)
    for name, state in states.items():
        print(f"{name.value}\t{state.value}")
    print(f"duo\t{' '.join(duo_codes(states)) or 'none'}")


def _add_consent(workspace: Workspace, event: ConsentEvent, *, registry: Registry) -> None:
    """Add ``event``; who takes consent back leaves those who wait for a batch, and the packages of releases."""
    from baekman.registry.denied_list import add_consent
    from baekman.withdrawal import leave_waiting_of

    add_consent(workspace, event, registry=registry)
    leave_waiting_of(workspace)
    _revoke_changed(workspace, registry=registry, participant=event.participant_id)


def _revoke_changed(workspace: Workspace, *, registry: Registry, participant: str = "") -> None:
    """Revoke the packages in which a member, or ``participant``, has taken consent back; print a line for each."""
    from baekman.releases.package.revocation import revoke_changed

    for home in revoke_changed(workspace.root, registry=registry, participant=participant):
        print(f"release {home.id} is revoked; `baekman release status` lists who must delete it", file=sys.stderr)


@app.command()
def withdraw(
    participant: ParticipantArgument,
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Record a withdrawal in the registry only; `baekman withdraw` also removes the data.

    Packages of releases that have the participant are revoked.

    Example: baekman registry withdraw P0123456789ABC --workspace W
    """
    from baekman.registry.denied_list import withdraw as withdraw_in_registry
    from baekman.workspace.paths import Workspace

    place = Workspace(workspace)
    opened = open_registry_and_sweep(place, registry=registry, key_file=key_file, finishing=participant)
    opened.require_participant(participant)
    is_new = withdraw_in_registry(place, participant, registry=opened)
    _revoke_changed(place, registry=opened, participant=participant)
    if is_new:
        print(f"{participant} is withdrawn in the registry; run `baekman withdraw {participant}` for the data")
    else:
        print(f"{participant} was withdrawn before: nothing to do")


@app.command("rotate-key")
def rotate_key(
    workspace: WorkspaceOption = HERE, registry: RegistryOption = None, key_file: KeyFileOption = None
) -> None:
    """Seal the registry with a new key; after a stop, run it again.

    Example: baekman registry rotate-key --workspace W
    """
    from baekman import audit
    from baekman.registry.key_rotation import rotate_key as rotate
    from baekman.workspace.paths import Workspace

    opened = open_registry_and_sweep(Workspace(workspace), registry=registry, key_file=key_file)
    with audit.use(workspace, action="registry.rotate-key"):
        count = rotate(opened)
    print(f"{count} records sealed with a new key")


@app.command("export-institution")
def export_institution(
    institution: Annotated[str, typer.Argument(help="Name of the institution, as in its registration table.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write; default: a folder of its own in WORKSPACE/return."),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            "--summary", callback=page_file, help="Also write the monthly summary here, .html; a .json comes with it."
        ),
    ] = None,
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Write one institution's registrations and newest verdicts, with its own labels, for this institution only.

    Example: baekman registry export-institution "Hospital A" --workspace W --summary hospital-a.html
    """
    from baekman import audit
    from baekman.intake.institution.page import write_summary
    from baekman.registry.listing import write_institution
    from baekman.workspace.paths import Workspace

    opened = open_registry_and_sweep(Workspace(workspace), registry=registry, key_file=key_file)

    def record(digest: str) -> None:
        audit.record(workspace, action="registry.export-institution", purpose="return", output_hash=digest)

    file = write_institution(opened, institution, folder=Workspace(workspace).returned, output=output, record=record)
    if summary is not None:
        write_summary(
            opened, institution, workspace=Workspace(workspace), html=summary.with_suffix(".html"), record=record
        )
    print(file)
