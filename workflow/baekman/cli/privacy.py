"""Leak scan and withdrawal."""

from __future__ import annotations

import typer

app = typer.Typer(help="Leak scan and withdrawal.", no_args_is_help=True)
