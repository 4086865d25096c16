"""The tasks of a release that jobs of Snakemake run, written to the folder of the unfinished package.

``tasks.secret`` (mode 0600) has the tasks with the key of the sealed members, since jobs cannot open the registry. It
is destroyed when the run ends, and by the next build after a kill. ``tasks.json`` has the names of the tasks alone.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from baekman.errors import InputRefused, Problem
from baekman.files.atomic import write_text
from baekman.files.secret_file import destroy_secret, write_secret

SECRET, NAMES = "tasks.secret", "tasks.json"


class Tasks(Protocol):
    """Tasks of one kind. Each leaves the note ``notes/<name>.json`` when it is done."""

    def __len__(self) -> int: ...

    def __call__(self, index: int) -> Any:
        """Run the task of that number, unless it is done."""

    @property
    def names(self) -> list[str]:
        """The name of each task."""


@contextmanager
def written(folder: Path, tasks: Mapping[str, Tasks]) -> Iterator[None]:
    """Keep ``tasks``, by kind, in the files of ``folder`` until the block ends."""
    write_secret(folder / SECRET, pickle.dumps(dict(tasks)))
    write_text(folder / NAMES, json.dumps({kind: some.names for kind, some in tasks.items()}))
    try:
        yield
    finally:
        destroy_secret(folder / SECRET)


def run_task(folder: Path, kind: str, name: str) -> None:
    """Run the task ``name`` of ``kind``; raise InputRefused where no build is under way, or it has no such task."""
    try:
        tasks: Mapping[str, Tasks] = pickle.loads((folder / SECRET).read_bytes())
        index = tasks[kind].names.index(name)
    except (FileNotFoundError, KeyError, ValueError):
        raise InputRefused(
            Problem(
                file=NAMES,
                place=kind,
                expected="a task of a build that is under way",
                found="none",
                action="run `baekman release build`",
            )
        ) from None
    tasks[kind](index)
