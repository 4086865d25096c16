"""Running the whole workflow: one delivery, or every delivery that arrives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baekman.cli.options import HERE, ConfigOption, WorkspaceOption
from baekman.errors import EXIT_DONE, EXIT_FAILED, InputRefused

if TYPE_CHECKING:
    from baekman.deliver import Outcome, Progress

app = typer.Typer(help="Run the workflow.", no_args_is_help=True)

Cores = Annotated[int | None, typer.Option("--cores", min=1, help="Processor cores; default: all.")]


def _profile(profile: str | None) -> str | None:
    """``profile`` when there is one: to be told of a slip only after intake would be late."""
    if profile is not None and not Path(profile).is_dir():
        from baekman import data

        names = sorted(one.name for one in (data.workflow_folder() / "profiles").iterdir())
        if Path(profile).name not in names:
            raise typer.BadParameter(f"no such folder, nor one of {', '.join(names)}")
    return profile


Profile = Annotated[
    str | None,
    typer.Option("--profile", help="Snakemake profile: a folder, or a name in profiles/.", callback=_profile),
]


def folder(path: Path) -> Path:
    """``path`` when it is a folder; a message that does not repeat it otherwise, as it may name an institution."""
    if not path.is_dir():
        raise typer.BadParameter("no such folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise typer.BadParameter("the folder may not be read; give who runs this access to it")
    return path


@app.command()
def deliver(
    delivery: Annotated[Path, typer.Argument(help="Folder of the delivery.", callback=folder, readable=False)],
    workspace: WorkspaceOption = HERE,
    config: ConfigOption = None,
    profile: Profile = None,
    cores: Cores = None,
) -> None:
    """Take one delivery from intake to tables; the same command again takes up where it stopped.

    Example: baekman deliver inbox/2026-11 --workspace /data/cohort --profile slurm
    """
    from baekman import deliver as delivering

    with _progress() as progress:
        outcome = delivering.deliver(
            delivery, workspace=workspace, config=config, profile=profile, cores=cores, progress=progress
        )
    _tell(outcome, workspace)
    typer.echo(outcome.delivery_id)
    raise typer.Exit(EXIT_FAILED if outcome.exit_code else EXIT_DONE)


@app.command()
def watch(
    inbox: Annotated[Path, typer.Argument(help="Folder in which deliveries arrive.", callback=folder, readable=False)],
    workspace: WorkspaceOption = HERE,
    config: ConfigOption = None,
    profile: Profile = None,
    cores: Cores = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    quiet: Annotated[
        float, typer.Option("--quiet-seconds", min=0, help="How long nothing may have changed in a delivery.")
    ] = 30.0,
) -> None:
    """Deliver each complete delivery in INBOX once: every file there in full size, and nothing still being written.

    Example: baekman watch /data/inbox --workspace /data/cohort --profile slurm
    """
    from baekman import deliver as delivering
    from baekman import watch as watching

    failures = 0

    def deliver_one(folder: Path) -> bool:
        nonlocal failures
        with _progress() as progress:
            outcome = delivering.deliver(
                folder, workspace=workspace, config=config, profile=profile, cores=cores, progress=progress
            )
        _tell(outcome, workspace)
        typer.echo(outcome.delivery_id)
        failures += bool(outcome.exit_code)
        return not outcome.locked

    def refuse(refused: InputRefused, place: str) -> None:
        nonlocal failures
        failures += 1
        print(f"a delivery is refused, {place}:", file=sys.stderr)
        for reason in refused.problems:
            print(f"refused: {reason}", file=sys.stderr)

    watching.watch(inbox, workspace=workspace, deliver=deliver_one, refuse=refuse, once=once, quiet_seconds=quiet)
    raise typer.Exit(EXIT_FAILED if failures else EXIT_DONE)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr when that is a terminal; else nothing is shown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield show


def _tell(outcome: Outcome, workspace: Path) -> None:
    """The summary, on stderr; pseudonymous."""
    decisions = list(outcome.decisions.values())
    folder = workspace / "deliveries" / outcome.delivery_id
    counts = ", ".join(
        f"{decisions.count(decision)} {word}"  # type: ignore[arg-type]
        for decision, word in (("accept", "accepted"), ("hold", "held"), ("reject", "rejected"))
    )
    lines = [f"delivery {outcome.delivery_id}: {counts}"]
    for one in outcome.verdicts:
        if one.verdict != "accept":
            codes = ", ".join(reason.code for reason in one.reasons if reason.severity != "note")
            lines.append(f"  {one.specimen_id}  {one.verdict:<6}  {one.gate:<6}  {codes}")
    for failed in outcome.failed:
        lines.append(f"failed: {failed.rule} ({failed.log})")
        lines += [f"  | {line}" for line in failed.lines]
    if outcome.unreported:
        lines.append(outcome.unreported)
    if outcome.locked:
        lines.append("not finished: another run works on the same files; run the same command again when it has ended")
    elif outcome.exit_code:
        if not outcome.failed:
            lines += [f"  | {line}" for line in outcome.last_lines]
        log = workspace / "logs" / "deliver" / f"{outcome.delivery_id}.log"
        lines.append(f"not finished: run the same command again when the cause is mended; all messages: {log}")
    else:
        if not outcome.jobs:
            lines.append("nothing to do: everything is there")
        lines.append(f"report  {folder / 'report'}")
        lines.append(f"tables  {workspace / 'tables'}")
        lines.append(f"cohort  {workspace / 'cohort'}")
        lines.append(f"for the institution  {workspace / 'return'}")
    print("\n".join(lines), file=sys.stderr)
