"""The end of a project: its book is destroyed, and nothing is released to it any more."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from baekman import audit
from baekman.errors import InputRefused
from baekman.files.atomic import write_text
from baekman.privacy.reason_text import reason_problems
from baekman.projects.project import CLOSED, CLOSING, Project
from baekman.registry.books.book import Book
from baekman.registry.denied_list import note_log
from baekman.registry.records import Registry
from baekman.workspace.paths import Workspace


def close(project: Project, *, reason: str, registry: Registry) -> bool:
    """Close ``project`` and destroy its book; return False when nothing was left to do.

    The event in the audit log comes first; from then on the project is closed. The same command finishes a closing
    that was killed.

    Raises:
        InputRefused: The reason has an identifier.
    """
    if problems := list(reason_problems(reason, readers="the applicants")):
        raise InputRefused(problems)
    if not project.is_closed:
        audit.record(project.workspace, action=CLOSED, object=project.id, input_hash=project.digest)
        note_log(Workspace(project.workspace), registry)
    is_new = Book(registry, project.id).destroy()
    file = project.home / CLOSING
    if file.is_file():
        return is_new
    time = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(file, json.dumps({"reason": reason, "time": time}, ensure_ascii=False, sort_keys=True) + "\n")
    return True
