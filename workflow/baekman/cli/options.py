"""Options and arguments that mean the same in every command that has them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from baekman.engine.cores import available_cores
from baekman.errors import EXIT_FAILED
from baekman.pseudonyms import is_valid

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
        words = "a folder, found the ID of a delivery; the same command as before, with its folder, goes on with it"
        if path.is_file():
            raise typer.BadParameter("expected a folder, found a file; give the folder that it lies in")
        raise typer.BadParameter(f"expected {words}" if is_valid(path.name, "D") else "no such folder")
    if not os.access(path, os.R_OK | os.X_OK):
        raise typer.BadParameter("the folder may not be read; give the user who runs this access to it")
    return path


def one_delivery(path: Path) -> Path:
    """Return ``path`` as ``readable_folder`` does; refuse a folder of deliveries, a workspace, or one of records."""
    from baekman.cli.shared.places import refuse_other_than_delivery

    refuse_other_than_delivery(readable_folder(path), sheet="delivery.yaml")
    return path


def delivery_of_records(path: Path) -> Path:
    """Return ``path`` as ``one_delivery`` does, for a delivery of records."""
    from baekman.cli.shared.places import refuse_other_than_delivery

    refuse_other_than_delivery(readable_folder(path), sheet="records.yaml")
    return path


def inbox_folder(path: Path) -> Path:
    """Return ``path`` as ``readable_folder`` does; refuse a delivery and a workspace."""
    from baekman.cli.shared.places import refuse_other_than_inbox

    refuse_other_than_inbox(readable_folder(path))
    return path


def no_other_folder(path: Path) -> Path:
    """Return ``path``, a workspace or one to be; refuse a folder that is known to be something else."""
    if path != HERE and path.is_dir() and not (path / "workspace.json").exists():
        from baekman.cli.shared.places import refuse_other_than_workspace

        refuse_other_than_workspace(path)
    return path


def optional_folder(path: Path | None) -> Path | None:
    """Return ``path`` as ``readable_folder`` does, or None."""
    return None if path is None else readable_folder(path)


def freezes(paths: list[Path] | None) -> list[Path] | None:
    """Return ``paths``; refuse one that is known to be something else than a freeze."""
    from baekman.cli.shared.places import refuse_other_than_freeze

    for path in paths or ():
        refuse_other_than_freeze(path)
    return paths


def page_file(path: Path | None) -> Path | None:
    """Return ``path`` of a page; refuse a name of another kind of file, as the page would get another name."""
    if path is not None and path.suffix not in ("", ".html"):
        raise typer.BadParameter("expected a name that ends in .html: a browser prints the page as PDF")
    return path


def print_findings(findings: Iterable[str], *, as_json: bool = False) -> None:
    """Print a line per finding on stdout, or all as JSON; exit with 1 if there is any."""
    lines = list(findings)
    if as_json:
        print_json({"is_whole": not lines, "findings": lines})
    else:
        typer.echo("".join(f"{line}\n" for line in lines), nl=False)
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


def delivery_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the IDs of the workspace's deliveries that begin with ``incomplete``, for the completion by a shell."""
    place = Path(ctx.params.get("workspace") or os.environ.get("BAEKMAN_WORKSPACE") or "")
    try:
        return sorted(path.name for path in (place / "deliveries").glob(f"{incomplete or 'D'}*"))
    except (OSError, ValueError):
        return []


def print_json(value: object) -> None:
    """Print a value as JSON, indented."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON; docs/operating.md has its keys.")]
DeliveriesOption = Annotated[
    list[str] | None,
    typer.Option("--delivery", help="A delivery, D…; repeatable.", autocompletion=delivery_ids),
]
WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        envvar="BAEKMAN_WORKSPACE",
        help="The workspace; default: the current directory.",
        show_default=False,
        file_okay=False,
        callback=no_other_folder,
    ),
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
