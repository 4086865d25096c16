"""The groups of commands with their names; each is imported only when a command needs it."""

from __future__ import annotations

import importlib

import typer

# module, and the name it is mounted under ("" adds its commands to the top level)
GROUPS = (
    ("baekman.cli.cohort", "cohort"),
    ("baekman.cli.registry", "registry"),
    ("baekman.cli.records", "records"),
    ("baekman.cli.audit", "audit"),
    ("baekman.cli.restore", "restore"),
    ("baekman.cli.table_keys", "table-keys"),
    ("baekman.cli.hold", "hold"),
    ("baekman.cli.project", "project"),
    ("baekman.cli.release", "release"),
    ("baekman.cli.delivery", ""),
    ("baekman.cli.workflow", ""),
    ("baekman.cli.overview", ""),
    ("baekman.cli.reading", ""),
    ("baekman.cli.privacy", ""),
    ("baekman.cli.step", "step"),
)


def register(app: typer.Typer, *, first: str = "") -> None:
    """Mount every group on ``app`` once; if the command line's ``first`` word names a group, only that one."""
    chosen = [group for group in GROUPS if group[1] and group[1] == first]
    mounted = [group.typer_instance for group in app.registered_groups]
    for module_name, name in chosen or GROUPS:
        group = importlib.import_module(module_name).app
        if group not in mounted:
            app.add_typer(group, name=name or None)
