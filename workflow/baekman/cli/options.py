"""Options and arguments that mean the same in every command that has them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from baekman.engine.cores import available_cores
from baekman.errors import EXIT_FAILED

HERE = Path()  # the default of --workspace
CORES = available_cores()  # the default of --workers
WORKERS = typer.Option(
    "--workers",
    min=1,
    envvar="BAEKMAN_WORKERS",
    show_default="the cores that the command may use",
    help="Tasks at the same time on this machine; the bytes are the same for any number.",
)


def readable_folder(path: Path) -> Path:
    """Return ``path`` when it is a folder that may be read; no message repeats it, as it may name an institution."""
    if not path.is_dir():
        raise typer.BadParameter("no such folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise typer.BadParameter("the folder may not be read; give the user who runs this access to it")
    return path


def optional_folder(path: Path | None) -> Path | None:
    """Return ``path`` as ``readable_folder`` does, or None."""
    return None if path is None else readable_folder(path)


def print_findings(findings: Iterable[str]) -> None:
    """Print a line per finding on stdout; exit with 1 if there is any."""
    lines = list(findings)
    for line in lines:
        typer.echo(line)
    if lines:
        raise typer.Exit(EXIT_FAILED)


def _known_scheduler(scheduler: str | None) -> str | None:
    """Return ``scheduler``; refuse a slip in ``slurm:N``, which would be taken for an address."""
    if scheduler is not None:
        from baekman.engine.scheduler_address import SLURM_FORM, is_slip_of_slurm

        if is_slip_of_slurm(scheduler):
            raise typer.BadParameter(f"expected {SLURM_FORM}")
    return scheduler


def _existing_profile(profile: str | None) -> str | None:
    """Return ``profile``, or refuse it here: Snakemake would refuse it only after intake."""
    if profile is not None and not Path(profile).is_dir():
        from baekman import data

        names = sorted(path.name for path in (data.workflow_folder() / "profiles").iterdir())
        if Path(profile).name not in names:
            raise typer.BadParameter(f"no such folder, nor one of {', '.join(names)}")
    return profile


WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="BAEKMAN_WORKSPACE", help="The working directory.", file_okay=False),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; default: config.yaml in the workspace (W for a cohort W/cohort)."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", help="Snakemake profile: a folder, or a name in profiles/.", callback=_existing_profile),
]
OwnerOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        help="The workspace of the cohort; default: BAEKMAN_WORKSPACE, else the current directory. With --cohort: "
        "found by its ID around the cohort, else BAEKMAN_WORKSPACE.",
        file_okay=False,
    ),
]
PurposeOption = Annotated[
    str,
    typer.Option(
        "--purpose",
        help="research (default), commercial, overseas, or several with commas: only who has consented is shown.",
    ),
]
CohortOption = Annotated[
    Path | None, typer.Option("--cohort", help="Folder of a cohort store; default: that of the workspace.")
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="BAEKMAN_REGISTRY",
        show_envvar=True,
        help="Folder, .sqlite file or PostgreSQL URL; default: WORKSPACE/registry.",
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="The registry's key (mode 0600); default: BAEKMAN_REGISTRY_KEY, else registry.key in its folder.",
    ),
]
WorkersOption = Annotated[int, WORKERS]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        envvar="BAEKMAN_SCHEDULER",
        help="A Dask cluster: the address or scheduler file of one that runs, or slurm:N for N workers by Slurm.",
        callback=_known_scheduler,
    ),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        envvar="BAEKMAN_INSECURE",
        help="Allow a --scheduler without TLS: who reaches it can run programs as you, and read what you can read.",
    ),
]
