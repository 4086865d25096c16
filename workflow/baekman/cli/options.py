"""Options that mean the same in every command that has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HERE = Path()  # the default of --workspace
WORKERS = typer.Option("--workers", min=1, help="Tasks at the same time on this machine.")

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="BAEKMAN_WORKSPACE", help="The working directory.", file_okay=False),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; default: config.yaml in the workspace (W for a cohort W/cohort)."),
]
CohortOption = Annotated[Path, typer.Option("--cohort", help="Folder of the cohort store.")]
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
    ),
]
