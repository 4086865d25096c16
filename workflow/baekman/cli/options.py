"""Options that mean the same in every command that has them."""

from __future__ import annotations

from typing import Annotated

import typer

WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Tasks at the same time on this machine.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        envvar="BAEKMAN_SCHEDULER",
        help="A Dask cluster: the address or scheduler file of one that runs, or slurm:N for N workers by Slurm.",
    ),
]
