"""Reading the cohort."""

from __future__ import annotations

import typer

app = typer.Typer(help="Reading the cohort.", no_args_is_help=True)
