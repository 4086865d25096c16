"""The folders of releases, ``<workspace>/releases/<R…>``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baekman import pseudonyms
from baekman.releases.plan import PLAN_FILE, REQUEST_FILE, REVIEW_FILE, Plan, read_plan
from baekman.releases.request import Request, read_request
from baekman.workspace.paths import Workspace


@dataclass(frozen=True)
class ReleaseHome:
    """The folder of a release."""

    path: Path

    @property
    def id(self) -> str:
        """The release's ID (``R…``)."""
        return self.path.name

    @property
    def request(self) -> Path:
        """The request, with every default and the numbers of the snapshots filled in."""
        return self.path / REQUEST_FILE

    @property
    def plan(self) -> Path:
        """The plan."""
        return self.path / PLAN_FILE

    @property
    def review(self) -> Path:
        """The dossier."""
        return self.path / REVIEW_FILE

    @property
    def members(self) -> Path:
        """The sealed members (``releases.members``)."""
        return self.path / "members.sealed"

    @property
    def package(self) -> Path:
        """The folder of what is released."""
        return self.path / "package"

    @property
    def revoked(self) -> Path:
        """The folder of the later manifests, by date."""
        return self.path / "revoked"

    @property
    def manifests(self) -> Path:
        """The folder of the manifests of packages that were revoked, by number."""
        return self.path / "manifests"

    @property
    def is_released(self) -> bool:
        """Return whether rows of the release may be outside: it has a package, or had one that was revoked."""
        return self.package.is_dir() or self.revoked.is_dir()

    @property
    def is_revoked(self) -> bool:
        """Return whether a later manifest revokes the package of the release."""
        return any(self.revoked.glob("*.dsse.json"))

    def read_plan(self) -> Plan:
        """Return the plan; raise as ``plan.read_plan``."""
        return read_plan(self.path)

    def read_request(self) -> Request:
        """Return the request; raise as ``request.read_request``."""
        return read_request(self.request)


def release_home(workspace: Path, release: str) -> ReleaseHome:
    """Return the folder of ``release``; raise InputRefused when this is no ID of a release."""
    return ReleaseHome(Workspace(workspace).releases / pseudonyms.check(release, "R"))


def releases(workspace: Path) -> Iterator[ReleaseHome]:
    """Yield the releases of ``workspace`` that have a plan, by ID."""
    for file in sorted(Workspace(workspace).releases.glob(f"R*/{PLAN_FILE}")):
        yield ReleaseHome(file.parent)
