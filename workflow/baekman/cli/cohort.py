"""The cohort store: add batches, withdraw, verify, freeze."""

from __future__ import annotations

import typer

app = typer.Typer(help="The cohort store: add batches, withdraw, verify, freeze.", no_args_is_help=True)
