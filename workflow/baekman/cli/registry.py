"""The registry: who was pre-registered and who consented."""

from __future__ import annotations

import typer

app = typer.Typer(help="The registry: who was pre-registered and who consented.", no_args_is_help=True)
