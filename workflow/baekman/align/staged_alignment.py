"""The alignment that intake makes of delivered FASTQ: its place, the note of what made it, and how a job takes it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baekman.align.aligners import options
from baekman.align.cram import index_of
from baekman.files.atomic import atomic_file
from baekman.genome.contigs import Contig
from baekman.tools import programs
from baekman.workspace.specimens import NEXT_TO_CRAM

MARKDUP, NOTE = NEXT_TO_CRAM


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that decide an alignment, and the digest of the reference.

    ``options`` are the aligner's. ``reference`` is the SHA-256 of the names, lengths and M5s of the contigs.
    """

    aligner: str
    options: str
    reference: str

    @classmethod
    def of(cls, aligner: str, contigs: Iterable[Contig]) -> Recipe:
        """Return the recipe of an alignment by ``aligner`` to ``contigs``."""
        lines = "".join(f"{contig.name}\t{contig.length}\t{contig.m5}\n" for contig in contigs)
        return cls(
            aligner=aligner, options=" ".join(options(aligner)), reference=hashlib.sha256(lines.encode()).hexdigest()
        )

    @property
    def values(self) -> dict[str, str]:
        """Return the recipe as JSON values."""
        return {"aligner": self.aligner, "options": self.options, "reference": self.reference}


def versions(aligner: str) -> dict[str, str]:
    """Return the versions of the tools that align. Raises ``InputRefused`` when the aligner is not on PATH."""
    return {tool: programs.version(tool) for tool in (aligner, "samtools")}


def write_note(folder: Path, *, recipe: Recipe, order: str) -> None:
    """Write the note of what made the alignment in ``folder``; ``order`` is the digest of the order of intake."""
    note = {"recipe": recipe.values, "versions": versions(recipe.aligner), "order": order}
    (folder / NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")


def is_made_by(cram: Path, recipe: Recipe, *, order: str | None = None) -> bool:
    """Return whether the staged alignment ``cram`` was made by ``recipe`` and, where it is given, for ``order``.

    Versions are not compared: only the machine of a job has the tools.
    """
    note = _read_note(cram)
    return cram.is_file() and note.get("recipe") == recipe.values and order in (None, note.get("order"))


def take_over(staged: Path, *, recipe: Recipe, output: Path, metrics: Path) -> bool:
    """Make the staged alignment the CRAM ``output``, with its .crai and ``metrics``, if ``recipe`` made it.

    The bytes are not written again where the file system has hard links. An alignment by another recipe, or by other
    versions of the tools, is deleted, so that the next run aligns the delivered reads again.

    Returns:
        True when the alignment was taken; False when it was deleted.
    """
    if not is_made_by(staged, recipe) or _read_note(staged).get("versions") != versions(recipe.aligner):
        staged.unlink(missing_ok=True)
        return False
    now = time.time_ns()
    for source, target in (
        (staged.with_name(MARKDUP), metrics),
        (index_of(staged), index_of(output)),
        (staged, output),
    ):
        with atomic_file(target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
            os.utime(temporary, ns=(now, now))
    return True


def _read_note(cram: Path) -> Mapping[str, Any]:
    try:
        note: Mapping[str, Any] = json.loads(cram.with_name(NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return note
