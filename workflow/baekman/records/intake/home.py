"""The folder of a received delivery of records, ``W/records/deliveries/<D…>``; every name and ID in it is pseudonymous.

``verdicts.json`` is a JSON array with an object for each participant (``reasons.RecordsVerdict``), ``counts.json`` has
the counts of rows, and ``delivery.json`` appears last: intake is complete with it.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from baekman.files.atomic import atomic_file
from baekman.files.digests import read_sealed, write_sealed
from baekman.files.locks import shared_after
from baekman.records.intake.reasons import RecordsVerdict
from baekman.workspace.paths import Workspace

FOLDER = "deliveries"


@dataclass(frozen=True)
class RecordsDelivery:
    """The folder of one delivery of records."""

    path: Path

    @classmethod
    def of(cls, workspace: Workspace, delivery_id: str) -> RecordsDelivery:
        """Return the folder of the delivery ``delivery_id`` in ``workspace``."""
        return cls(workspace.records / FOLDER / delivery_id)

    @property
    def id(self) -> str:
        """Return the ID of the delivery, which names its batch too."""
        return self.path.name

    @property
    def verdicts(self) -> Path:
        """Return the file of the verdicts on participants."""
        return self.path / "verdicts.json"

    @property
    def counts(self) -> Path:
        """Return the file of the counts of rows."""
        return self.path / "counts.json"

    @property
    def summary(self) -> Path:
        """Return the description of the complete delivery."""
        return self.path / "delivery.json"

    @property
    def lock(self) -> Path:
        """Return the lock of the intake of this delivery."""
        return self.path.parent / f".{self.id}.lock"


@contextmanager
def scratch_folder(workspace: Workspace) -> Iterator[Path]:
    """Yield a folder for the work of one reception, which goes with the block; those of killed ones go first."""
    folders = workspace.records / FOLDER / ".work"
    lock = workspace.records / FOLDER / ".work.lock"
    own = folders / uuid.uuid4().hex
    with shared_after(lock, partial(shutil.rmtree, folders, ignore_errors=True), waits_for="another reception"):
        own.mkdir(parents=True)
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


def write_verdicts(path: Path, verdicts: Iterable[RecordsVerdict]) -> None:
    """Write ``verdicts`` to ``path`` as a JSON array, an object per line, atomically; they are never all in memory."""
    _write_array(path, (json.dumps(verdict.to_json()) for verdict in verdicts))


def _write_array(path: Path, objects: Iterable[str]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, text in enumerate(objects):
            file.write(f"{',' if number else ''}\n{text}")
        file.write("\n]\n")


def erase_verdicts(workspace: Workspace, participants: Collection[str]) -> list[Path]:
    """Delete the verdicts on ``participants`` from every delivery of records; return the files that were edited."""
    edited = []
    for path in sorted((workspace.records / FOLDER).glob("*/verdicts.json")):
        with path.open(encoding="utf-8") as lines:
            is_named = any(_participant_in(line) in participants for line in lines)
        if is_named:
            with path.open(encoding="utf-8") as lines:
                kept = (line.strip().rstrip(",") for line in lines if line.startswith("{"))
                _write_array(path, (text for text in kept if _participant_in(text) not in participants))
            edited.append(path)
    return edited


def _participant_in(line: str) -> str:
    return str(json.loads(line.strip().rstrip(","))["participant"]) if line.startswith("{") else ""


def write_summary(home: RecordsDelivery, values: dict[str, Any]) -> None:
    """Write the description of a complete delivery: with it, intake is complete."""
    write_sealed(home.summary, values)


def read_summary(home: RecordsDelivery) -> dict[str, Any]:
    """Return the description that ``write_summary`` wrote."""
    return read_sealed(home.summary)
