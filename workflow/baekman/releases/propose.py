"""The proposal of a release: ``releases/<R…>`` with request, plan, sealed members and dossier, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from baekman import audit, pseudonyms
from baekman.consent import today
from baekman.errors import DamagedFile
from baekman.files.atomic import fsync_folder, write_text
from baekman.files.locks import exclusive
from baekman.projects.project import open_project
from baekman.records.dictionary import Dictionary, read_dictionary
from baekman.records.store import open_store
from baekman.releases.dossier.review import write_review
from baekman.releases.home import ReleaseHome, releases
from baekman.releases.plan import Plan, write_plan
from baekman.releases.planning import make_plan
from baekman.releases.request import parse_request, read_request
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    from baekman.registry.records import Registry

ASKED = "release.propose"  # before anything is read; of the project
PLANNED = "release.plan"  # of the release


def propose(workspace: Path, request: Path, *, registry: Registry, at: date | None = None) -> tuple[ReleaseHome, Plan]:
    """Propose the release that the file ``request`` asks for; return its folder and its plan.

    A request with the plan of an earlier proposal of the project is that proposal. So the command may be given again,
    also after a kill.

    Args:
        workspace: Folder of the workspace.
        request: A ``request.yaml``.
        registry: The open registry: it has the consent and the key of sealed members.
        at: The day of consent and ages; today by default.

    Raises:
        InputRefused: The request, its SQL or its project is refused.
        DamagedFile: The plan of a release that may be outside, with which this one is compared.
    """
    asked = read_request(request)
    project = open_project(workspace, asked.project)
    project.require_open()
    folder = Workspace(workspace).releases
    audit.record(workspace, action=ASKED, object=project.id, input_hash=asked.hash)
    with exclusive(folder / ".lock", waits_for="another command that proposes a release"), _new_home(folder) as home:
        plan = make_plan(workspace, asked, home=home, project=project, registry=registry, at=at or today())
        last = None
        for other in releases(workspace):
            try:
                earlier = other.read_plan()
            except DamagedFile:
                # nothing of it was released, else the plan could not be compared with it; status and verify name it
                continue
            if earlier.hash == plan.hash:
                return other, plan
            if earlier.project == project.id and (last is None or _newer(other, last)):
                last = other
        write_text(home.request, parse_request(plan.request, source=home.request.name).to_yaml())
        write_plan(home.path, plan)
        latest = last.read_plan() if last else None
        write_review(home, plan, project=project, last=latest, dictionary=_dictionary(workspace))
        audit.record(workspace, action=PLANNED, object=home.id, input_hash=plan.request_hash, output_hash=plan.hash)
        home.path.rename(folder / home.id)
        fsync_folder(folder)
    return ReleaseHome(folder / home.id), plan


def _dictionary(workspace: Path) -> Dictionary | None:
    """Return the dictionary of the records of ``workspace``; None without records."""
    return read_dictionary(open_store(workspace).dictionary) if Workspace(workspace).records.exists() else None


@contextmanager
def _new_home(folder: Path) -> Iterator[ReleaseHome]:
    """Yield a new folder for a release, which is deleted unless the block renames it; killed ones are deleted too."""
    unfinished = folder / ".new"
    shutil.rmtree(unfinished, ignore_errors=True)
    home = ReleaseHome(unfinished / pseudonyms.new("R"))
    home.path.mkdir(parents=True)
    try:
        yield home
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _newer(home: ReleaseHome, other: ReleaseHome) -> bool:
    return home.plan.stat().st_mtime_ns > other.plan.stat().st_mtime_ns
