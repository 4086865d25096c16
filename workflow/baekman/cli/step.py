"""The steps that the workflow's rules call."""

from __future__ import annotations

import typer

app = typer.Typer(help="The steps that the workflow's rules call.", no_args_is_help=True)
