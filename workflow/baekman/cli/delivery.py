"""Deliveries."""

from __future__ import annotations

import typer

app = typer.Typer(help="Deliveries.", no_args_is_help=True)
