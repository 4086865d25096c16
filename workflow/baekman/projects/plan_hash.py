"""The plan of a release that a reviewer decides on, by the SHA-256 of ``plan.json``."""

from __future__ import annotations

import hashlib
import json

from baekman import pseudonyms
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.sidecar import read_checked
from baekman.projects.project import Project
from baekman.workspace.paths import Workspace

PLAN = "plan.json"
SHORTEST = 12  # characters of a hash that the dossier shows


def plan_hash(project: Project, release_id: str, *, shown: str = "") -> str:
    """Return the SHA-256 (hex) of the plan of ``release_id``, which is for ``project``.

    ``shown`` is the hash that the reviewer read in the dossier, or its beginning.

    Raises:
        InputRefused: There is no plan, it is for another project, or it is not the one that was ``shown``.
        DamagedFile: The plan is not as it was written.
    """
    pseudonyms.check(release_id, "R")
    file = Workspace(project.workspace).releases / release_id / PLAN
    if not file.is_file():
        raise _refused(release_id, "a release with a plan", "none of this ID", "`baekman release propose` makes one")
    text = read_checked(file)
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        is_own = json.loads(text)["request"]["project"] == project.id
    except (ValueError, KeyError, TypeError):
        raise DamagedFile(file) from None
    if not is_own:
        raise _refused(release_id, f"a plan for {project.id}", "one for another project", "name its own project")
    if shown and (len(shown) < SHORTEST or not digest.startswith(shown)):
        found = "another: the plan has changed, or the hash is mistyped"
        raise _refused("--plan", "the hash of the plan as it is now", found, "read the dossier again")
    return digest


def _refused(file: str, expected: str, found: str, action: str) -> InputRefused:
    return InputRefused(Problem(file=file, expected=expected, found=found, action=action))
