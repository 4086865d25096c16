"""The building of a package: approved, with consent asked before and after, and whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from baekman import audit
from baekman.consent import today
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import fsync_folder, fsync_tree
from baekman.files.locks import exclusive
from baekman.projects.decisions import require_approved
from baekman.projects.project import Project, open_project
from baekman.releases.checks.order import foreign_parts
from baekman.releases.checks.others import others_of
from baekman.releases.home import ReleaseHome, release_home
from baekman.releases.package.contents import Contents, write_contents
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.revocation import UNFINISHED
from baekman.releases.package.standing import require_members_admitted, revocations
from baekman.releases.plan import Plan
from baekman.releases.planning import later_checks, make_plan, proposed_source
from baekman.workspace.denied import held_denials
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    from baekman.registry.records import Registry

ACTION = "release.build"
AGAIN = "again"  # the folder in which the plan is made again
CHANGE = "say in `why` of the request what has changed and propose it again; the new plan needs decisions of its own"


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Builds the package of the release in ``home``; ``at`` is the day of consent and decisions, by default today.

    With a ``profile`` of Snakemake, buckets and shards are its jobs; else they are tasks of the ``engine``. ``warn``
    gets a line for each check that packages of others have made worse since the plan was proposed.
    """

    workspace: Path
    home: ReleaseHome
    registry: Registry
    engine: Engine
    at: date | None = None
    profile: str = ""
    warn: Callable[[str], None] | None = None

    @property
    def day(self) -> date:
        """The day of consent and decisions."""
        return self.at or today()

    def build(self) -> Path:
        """Write the package and return its folder; a package that is there stays."""
        with exclusive(self.home.path / ".build.lock", waits_for="another build of this release"):
            plan = self.home.read_plan()
            project = open_project(self.workspace, plan.project)
            if not self.home.package.is_dir():
                self._require_own_version(plan)
            self._require_standing(plan, project)
            if not self.home.package.is_dir():
                with self._unfinished(plan) as folder:
                    self._build(plan, project, folder)
            else:  # of a build that was killed after the rename; plain files of a transfer are in it
                remove_unfinished(self.home)
        return self.home.package

    def _build(self, plan: Plan, project: Project, folder: PackageFolder) -> None:
        self._require_same_plan(plan, project, folder)
        compared = self._require_no_later_risk(plan, project, compared=frozenset(plan.compared))
        consent_hash = self.registry.consent_hash()
        audit.record(
            self.workspace, action=ACTION, object=self.home.id, input_hash=plan.hash, consent_hash=consent_hash
        )
        contents = Contents(
            workspace=self.workspace, home=self.home, plan=plan, project=project, registry=self.registry, at=self.day
        )
        package = write_contents(contents, folder, engine=self.engine, profile=self.profile)
        fsync_tree(package)
        places = Workspace(self.workspace)
        built = exclusive(places.releases / ".built.lock", waits_for="the end of another build")
        with built, held_denials(places):
            self._require_standing(plan, project)
            self._require_no_later_risk(plan, project, compared=compared)
            package.rename(self.home.package)
            fsync_folder(self.home.path)

    def _require_own_version(self, plan: Plan) -> None:
        """Raise InputRefused for a plan of another version of baekman, before anybody decides on it."""
        if parts := foreign_parts(plan):
            raise InputRefused(
                Problem(
                    file=self.home.id,
                    expected="a plan of this version of baekman",
                    found=f"one of another version: {', '.join(parts)}",
                    action=self._propose_again(),
                )
            )

    def _require_standing(self, plan: Plan, project: Project) -> None:
        """Raise InputRefused when the release may not be made, or may no longer be."""
        project.require_open()
        if later := revocations(self.home):
            raise InputRefused(
                Problem(
                    file=self.home.id,
                    expected="a release that is not revoked",
                    found=f"manifest {later[-1].name}, which revokes it",
                    action=CHANGE,
                )
            )
        if plan.failures:
            raise InputRefused(
                Problem(
                    file=self.home.id,
                    place=check.code,
                    expected=f"a check that passes (limit {check.limit})",
                    found=str(check.observed),
                    action="change the request and propose it again",
                )
                for check in plan.failures
            )
        require_approved(project, seen=plan.hash, at=self.day)
        require_members_admitted(self.workspace, self.home, project=project, registry=self.registry, at=self.day)

    def _require_same_plan(self, plan: Plan, project: Project, folder: PackageFolder) -> None:
        """Make the plan again and raise InputRefused when it is another one than was decided on."""
        home = ReleaseHome(folder.path / AGAIN / self.home.id)
        shutil.rmtree(home.path, ignore_errors=True)
        home.path.mkdir(parents=True)
        request = self.home.read_request()
        now = make_plan(
            self.workspace, request, home=home, project=project, registry=self.registry, at=self.day, decided=plan
        )
        shutil.rmtree(home.path)
        if now.hash != plan.hash:
            raise InputRefused(
                Problem(
                    file=self.home.id,
                    expected="the plan that was decided on",
                    found=f"another one now: {', '.join(_differences(plan, now))}",
                    action=self._propose_again(),
                )
            )

    def _require_no_later_risk(self, plan: Plan, project: Project, *, compared: frozenset[str]) -> frozenset[str]:
        """Compare the release with packages that were built since; return ``compared`` with them.

        A failed check raises InputRefused, a larger share of linkage warns.
        """
        others = others_of(self.workspace, tier=plan.tier, project=project.id, without=[self.home.id, *compared])
        if not others:
            return compared
        source = proposed_source(self.workspace, home=self.home, project=project, registry=self.registry, at=self.day)
        decided = {check.code: check.observed for check in plan.checks}
        for check in later_checks(self.workspace, plan, others, source=source, project=project):
            if check.verdict == "fail":
                raise InputRefused(
                    Problem(
                        file=self.home.id,
                        place=check.code,
                        expected=f"no difference of 1 to {int(check.limit or 0) - 1} members to a release that others "
                        "may have: it would be the data of these people",
                        found=f"{check.observed}, to one that was built after this plan was proposed",
                        action="change who is asked for and propose the request; the new plan needs decisions of its "
                        "own",
                    )
                )
            if (
                check.verdict == "told"
                and self.warn
                and float(check.observed or 0) > float(decided.get(check.code) or 0)
            ):
                self.warn(
                    f"{self.home.id}: {check.code}: {check.observed:.2%} of the members can be joined with a release "
                    "to another project that was built after this plan was proposed; the reviewers should know"
                )
        return compared | others.keys()

    def _propose_again(self) -> str:
        file = self.home.request
        return (
            f"run `baekman release propose` with the request again, or with {file} without its `snapshots`; the new "
            "plan needs decisions of its own"
        )

    @contextmanager
    def _unfinished(self, plan: Plan) -> Iterator[PackageFolder]:
        """Yield the folder of the unfinished package; what a kill left of this plan is used.

        It is deleted at the end, and where the package is refused.
        """
        path = self.home.path / f"{UNFINISHED}{plan.hash[:16]}"
        remove_unfinished(self.home, apart=path)
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            yield PackageFolder(path, self.home.id)
        except InputRefused:
            shutil.rmtree(path)
            raise
        shutil.rmtree(path)


def build_release(
    workspace: Path,
    release: str,
    *,
    registry: Registry,
    engine: Engine | None = None,
    at: date | None = None,
    profile: str = "",
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Build the package of ``release`` and return its folder. A second call returns the package that is there.

    A killed call leaves no package; the next one uses what was finished. The bytes do not depend on the workers.
    ``warn`` is as in ``Builder``.

    Raises:
        InputRefused: The release is not approved, was revoked, or its plan is another one now; the consent of a member
            ended, also while the package was written; a public release that differs by few members was built since; or
            the finished package has an ID of this workspace.
    """
    workspace = workspace.resolve()  # jobs and a cluster's workers have folders of their own
    home = release_home(workspace, release)
    engine = engine or Engine()
    return Builder(
        workspace=workspace, home=home, registry=registry, engine=engine, at=at, profile=profile, warn=warn
    ).build()


def remove_unfinished(home: ReleaseHome, *, apart: Path | None = None) -> None:
    """Delete the folders of unfinished packages of a release, but not ``apart``."""
    for path in home.path.glob(f"{UNFINISHED}*"):
        if path != apart:
            shutil.rmtree(path)


def _differences(before: Plan, now: Plan) -> list[str]:
    """Return the names of the parts of a plan that changed."""
    first, second = before.to_json(), now.to_json()
    return sorted(name for name in first if first[name] != second[name])
