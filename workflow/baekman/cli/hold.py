"""``baekman hold …``: the specimens that wait for a person, and the decisions on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from baekman.cli.options import (
    HERE,
    DeliveriesOption,
    JsonOption,
    KeyFileOption,
    RegistryOption,
    WorkspaceOption,
    delivery_ids,
)
from baekman.cli.shared.ended_consent import open_registry_and_sweep
from baekman.cli.shared.notes import note
from baekman.files.shown_text import printable

if TYPE_CHECKING:
    from baekman.hold.refusals import Choice

app = typer.Typer(help="Held specimens, and the decisions on them.", no_args_is_help=True)

SpecimensArgument = Annotated[list[str], typer.Argument(metavar="SPECIMEN…", help="Specimen IDs, S….")]
ReasonOption = Annotated[
    str,
    typer.Option("--reason", help="Why, in a line; the institution reads it. No names, numbers, codes or IDs."),
]
DeliveryOption = Annotated[
    str,
    typer.Option(
        "--delivery",
        help="The delivery, D…, where a specimen waits in several of them.",
        autocompletion=delivery_ids,
    ),
]
InsteadOption = Annotated[bool, typer.Option("--instead", help="Replace another decision that was not taken on yet.")]


@app.command("list")
def list_(
    workspace: WorkspaceOption = HERE,
    delivery: DeliveriesOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the specimens that wait for a person, and since when; needs neither the registry nor its key.

    Specimens whose reads came again are listed too: they are rejected unless `hold accept --merge` or `--replace` takes
    the reads.

    Example: baekman hold list --workspace W
    """
    from baekman.hold.specimens import waiting_specimens
    from baekman.status.delivery import delivery_folders
    from baekman.status.output import local_time
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    specimens = waiting_specimens(delivery_folders(Workspace(workspace), delivery or []))
    if as_json:
        for number, specimen in enumerate(specimens):
            print("[" if number == 0 else ",", json.dumps(specimen, ensure_ascii=False), sep="\n" if number else "")
        print("]" if "number" in locals() else "[]")
        return
    columns = "{:<14}  {:<14}  {:<14}  {:<6}  {:<16}  {:<8}  {}"
    print(columns.format("DELIVERY", "SPECIMEN", "PARTICIPANT", "GATE", "SINCE", "DECIDED", "REASONS"))
    for each in specimens:
        ids = (each["delivery"], each["specimen"], each["participant"] or "-")
        since, reasons = local_time(each["since"]), ", ".join(each["reasons"])
        reasons += " (rejected; --merge or --replace takes it)" if each["verdict"] == "reject" else ""
        print(printable(columns.format(*ids, each["gate"], since, each["decided"] or "-", reasons)))


@app.command()
def show(
    specimen: Annotated[str, typer.Argument(metavar="SPECIMEN", help="A specimen ID, S….")],
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show the verdicts on a specimen with observed and expected values, in each delivery, and the decisions on it.

    Example: baekman hold show S… --workspace W
    """
    from baekman.hold.specimens import find_specimen
    from baekman.status.output import specimen_lines
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    found = [held.to_json() for held in find_specimen(Workspace(workspace), specimen)]
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        sys.stdout.writelines(printable(line) + "\n" for held in found for line in specimen_lines(held))


@app.command()
def accept(
    specimens: SpecimensArgument,
    reason: ReasonOption,
    workspace: WorkspaceOption = HERE,
    delivery: DeliveryOption = "",
    override: Annotated[
        bool, typer.Option("--override", help="Accept what a gate rejected; never consent or identity.")
    ] = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Of several specimens of the participant, this is the one that counts.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Use these reads together with those of earlier deliveries.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Use these reads instead of those of earlier deliveries.")
    ] = False,
    instead: InsteadOption = False,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Release held specimens: the next `baekman deliver` takes them from where they were held to the cohort.

    Applies to the values that were seen: `baekman hold show` has them. Where they change, the specimen is held again.
    A specimen of a participant with reads of an earlier delivery needs --merge (a top-up lane, another library) or
    --replace.

    Example: baekman hold accept S… --reason 'coverage is enough for this panel' --workspace W
    """
    from baekman.errors import InputRefused, Problem
    from baekman.hold.refusals import Choice

    if merge and replace:
        raise InputRefused(
            Problem(file="--merge", expected="--merge or --replace", found="both", action="leave one of them out")
        )
    choice = Choice(
        decision="accept",
        reason=reason,
        override=override,
        counts=counts,
        reads="merge" if merge else "replace" if replace else "",
        instead=instead,
        delivery=delivery,
    )
    _decide(specimens, choice, workspace=workspace, registry=registry, key_file=key_file)


@app.command()
def reject(
    specimens: SpecimensArgument,
    reason: ReasonOption,
    workspace: WorkspaceOption = HERE,
    delivery: DeliveryOption = "",
    instead: InsteadOption = False,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Reject held specimens: the next `baekman deliver` says so in the return report.

    Example: baekman hold reject S… --reason 'the library is re-sequenced' --workspace W
    """
    from baekman.hold.refusals import Choice

    choice = Choice(decision="reject", reason=reason, instead=instead, delivery=delivery)
    _decide(specimens, choice, workspace=workspace, registry=registry, key_file=key_file)


def _decide(
    specimens: list[str], choice: Choice, *, workspace: Path, registry: str | None, key_file: Path | None
) -> None:
    """Record a decision and print a line for each specimen that it is on."""
    from baekman.hold.decision import decide
    from baekman.workspace.decisions import person
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    place = Workspace(workspace)
    opened = open_registry_and_sweep(place, registry=registry, key_file=key_file)
    made = person(choice.decision, choice.reason, override=choice.override, counts=choice.counts, reads=choice.reads)
    recorded = decide(place, specimens, choice=choice, made=made, registry=opened)
    words: dict[Literal["accept", "reject"], str] = {"accept": "accepted", "reject": "rejected"}
    for decision in recorded:
        options = [option for option in ("counts" if decision.made.counts else "", decision.made.reads) if option]
        shown = f" ({', '.join(options)})" if options else ""
        print(f"{decision.specimen_id}  {words[decision.made.decision]}{shown}")
    if recorded:
        note("the next `baekman deliver` of the delivery takes it on")
    else:
        note("decided so before: nothing to do")
