"""Commands that look at a workspace and change nothing: where its deliveries are, and whether all is in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baekman.cli.options import (
    CORES,
    HERE,
    ConfigOption,
    DeliveriesOption,
    JsonOption,
    KeyFileOption,
    ProfileOption,
    RegistryOption,
    WorkersOption,
    WorkspaceOption,
    freezes,
    optional_folder,
    print_json,
)
from baekman.errors import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, InputRefused
from baekman.files.shown_text import printable

if TYPE_CHECKING:
    from baekman.status.delivery import DeliveryStatus

app = typer.Typer(help="Where things are.", no_args_is_help=True)


@app.command()
def status(
    workspace: WorkspaceOption = HERE,
    delivery: DeliveriesOption = None,
    participant: Annotated[
        list[str] | None, typer.Option("--participant", help="A participant, P…; repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show each delivery with its stage, jobs, estimated end, verdicts, and the specimens that wait for a person.

    Works while runs are under way, here or on a cluster, and needs neither the registry nor its key. Exits with 1 when
    files of a delivery are damaged.

    Example: baekman status --workspace W
    """
    from datetime import UTC, datetime

    from baekman.status.delivery import delivery_folders, status_of
    from baekman.status.output import document, inbox_lines, table
    from baekman.status.participant import participant_statuses
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.inbox_state import read_inboxes
    from baekman.workspace.paths import Workspace

    place, now = Workspace(workspace), datetime.now(UTC)
    require_workspace(workspace)
    folders = delivery_folders(place, delivery or [])
    people = participant_statuses(place, folders, participant or [])
    if people:
        of_people = {person.delivery for person in people}
        folders = [folder for folder in folders if folder.id in of_people]
    inboxes = list(read_inboxes(place)) if not (delivery or participant) else []
    is_damaged = False

    def statuses() -> Iterator[DeliveryStatus]:
        nonlocal is_damaged
        for folder in folders:
            shown = status_of(place, folder, now=now)
            is_damaged = is_damaged or shown.state == "damaged"
            yield shown

    if as_json:
        sys.stdout.writelines(document(statuses(), participants=people, inboxes=inboxes, now=now))
    else:
        sys.stdout.writelines(
            printable(line) + "\n" for line in table(statuses(), participants=people, notes=inbox_lines(inboxes))
        )
    if is_damaged:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def doctor(
    workspace: WorkspaceOption = HERE,
    config: ConfigOption = None,
    delivery: Annotated[
        Path | None,
        typer.Option("--next", help="Folder of the next delivery: is there room for it?", callback=optional_folder),
    ] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check tools, reference, disk, cluster, keys and workspace; print a line each, with what to do about it.

    Exits with 1 when a check fails. No key is read, and nothing is changed. A fault of Slurm is only noted without
    --profile slurm.

    Example: baekman doctor --workspace W --next inbox/2026-11 --profile slurm
    """
    from baekman.deliver import profile_folder
    from baekman.engine.slurm import executor_of
    from baekman.status.doctor import checks
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    require_workspace(workspace)
    profile = profile or os.environ.get("SNAKEMAKE_PROFILE")
    executor = executor_of(profile_folder(profile)) if profile else ""
    done = []
    for check in checks(Workspace(workspace), config=config, following=delivery, executor=executor):
        done.append(check)
        if not as_json:
            typer.echo(printable(str(check)))
    if as_json:
        print_json([check.to_json() for check in done])
    if not all(check.is_good for check in done):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def verify(
    workspace: WorkspaceOption = HERE,
    freeze: Annotated[
        list[Path] | None,
        typer.Option("--freeze", callback=freezes, help="A freeze outside of the workspace too; repeatable."),
    ] = None,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    workers: WorkersOption = CORES,
    as_json: JsonOption = False,
) -> None:
    """Verify all files of a workspace: its state, deliveries, registry, audit log, keys, cohort, tables and freezes.

    Prints "PART: whole", or a line for each finding with what to do about it. A part that cannot be verified stops no
    other. Exits with 3 when a part is refused, as by other commands, and with 1 when files are damaged.

    Outside of a workspace, --freeze verifies a freeze that stands alone: its bytes, rows, schemas and counts. A line on
    stderr says which counts.

    Example: baekman verify --workspace W --workers 8

    Example: baekman verify --freeze release-1
    """
    from baekman.cli.shared.failure import describe
    from baekman.cli.shared.notes import note
    from baekman.status.verification import freezes_alone, parts
    from baekman.workspace.identity import is_workspace, require_workspace
    from baekman.workspace.paths import Workspace

    place, codes, results = Workspace(workspace), [EXIT_DONE], []
    if freeze and workspace == HERE and not is_workspace(workspace):
        chosen = freezes_alone(freeze)
    else:
        if not place.identity.exists():  # a damaged ID is a finding
            require_workspace(workspace)
        chosen = parts(place, registry=registry, key_file=key_file, freezes=tuple(freeze or ()), workers=workers)
    for part in chosen:
        code, lines = EXIT_DONE, []
        try:
            for finding in part.verify():
                code = EXIT_FAILED
                lines.append(_shown_finding(part.name, str(finding), as_json=as_json))
        except InputRefused as refused:
            code = EXIT_REFUSED
            lines += [_shown_finding(part.name, str(problem), as_json=as_json) for problem in refused.problems]
        except Exception as failure:
            code = EXIT_FAILED
            words = describe(failure, arguments=["--workspace", str(workspace)], environment=os.environ)
            lines.append(_shown_finding(part.name, words, as_json=as_json))
        if not lines and not as_json:
            typer.echo(f"{part.name}: whole")
        for sentence in part.notes() if not lines else ():
            note(f"note: {part.name}: {sentence}")
        codes.append(code)
        state = {EXIT_DONE: "whole", EXIT_FAILED: "damaged", EXIT_REFUSED: "refused"}[code]
        results.append({"part": part.name, "state": state, "findings": lines})
    if as_json:
        print_json(results)
    if max(codes):
        raise typer.Exit(max(codes))


def _shown_finding(part: str, finding: str, *, as_json: bool) -> str:
    """Return a finding as one line; print it at once unless all are printed as JSON."""
    line = printable(finding)
    if not as_json:
        typer.echo(f"{part}: {line}")
    return line
