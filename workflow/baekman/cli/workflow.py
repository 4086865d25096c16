"""Running the whole workflow: one delivery, or every delivery that arrives."""

from __future__ import annotations

import typer

app = typer.Typer(help="Run the workflow.", no_args_is_help=True)
