"""The revocation of packages: the next manifest says so, and the package leaves the workspace.

Copies outside are out of reach: ``release status`` lists who must delete them. The sealed members stay, so that it can
say which releases had a participant.

The manifest of a revoked package is kept: it names files by their SHA-256 and no participant. Each later manifest names
the SHA-256 of the one that it revokes, so the chain can be verified when the package is gone.

The withdrawal of one scope revokes the whole package, as that of a participant does: what is left of it would be
another plan, which needs decisions of its own. The participant keeps the row of the book, for the other scopes.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman import audit
from baekman.consent import today
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.atomic import atomic_file, write_text
from baekman.files.digests import sha256_of
from baekman.files.locks import exclusive
from baekman.privacy.reason_text import reason_problems
from baekman.projects.project import Project, open_project
from baekman.projects.release_key import public_file, release_key
from baekman.projects.signing import PublicKey
from baekman.registry.books.book import Book
from baekman.releases.home import ReleaseHome, release_home, releases
from baekman.releases.members import Members, member_ring
from baekman.releases.package.manifest import NAME, Manifest, open_manifest, seal
from baekman.releases.package.standing import changed_members, revocations
from baekman.releases.plan import Plan
from baekman.workspace.paths import Workspace
from baekman.workspace.purge import RemovalNote

if TYPE_CHECKING:
    from baekman.registry.records import Registry

ACTION = "release.revoke"
WITHDRAWAL = "withdrawal"  # the reason of a revocation by `baekman withdraw`
SCOPE = "withdrawal of a scope"
ENDED = "the consent of a member, or a scope of it, has ended"
NO_REASON = "no reason was stated"
PROJECT_CLOSED = "the project is closed"
UNFINISHED = ".package."  # before the names of folders of unfinished packages
GOING = ".going."  # before the names of packages on their way out
ASKED = ".consent-asked"  # in the folder of releases: the day on which all packages were asked last


@dataclass(frozen=True, kw_only=True)
class Revoker:
    """Revokes releases of a workspace with its open registry."""

    workspace: Path
    registry: Registry

    def revoke(self, home: ReleaseHome, *, reason: str, participant: str = "") -> bool:
        """Revoke the package of a release; return False when nothing was left to do.

        A killed call is finished by the next one. The event in the audit log names ``participant``.
        """
        changed = False
        with exclusive(home.path / ".revoke.lock", waits_for="another revocation of this release"):
            if home.package.is_dir():
                objects = ",".join([home.id, *([participant] if participant else [])])
                audit.record(self.workspace, action=ACTION, object=objects)
                self._write_manifest(home, reason=reason)
                home.package.rename(home.path / f"{GOING}{uuid.uuid4().hex}")
                changed = True
            for path in home.path.glob(f"{GOING}*"):
                shutil.rmtree(path)
        _remove_unfinished(home)
        return changed

    def destroy_row(self, home: ReleaseHome, participant: str) -> None:
        """Destroy the row of ``participant`` in the book of the release's project."""
        Book(self.registry, home.read_plan().project).destroy_row(participant)

    def has_changed(self, home: ReleaseHome, *, participant: str = "") -> bool:
        """Return whether a member, or ``participant``, no longer grants what the release was proposed with."""
        project = open_project(self.workspace, home.read_plan().project)
        changed = changed_members(
            self.workspace, home, project=project, registry=self.registry, at=today(), participant=participant
        )
        return changed > 0

    def _write_manifest(self, home: ReleaseHome, *, reason: str) -> None:
        """Write the next manifest, unless there is one that revokes the package."""
        key = release_key(self.workspace)
        later = [open_manifest(path, key=key.public)[0] for path in revocations(home)]
        digest = "0" * 64
        if (home.package / NAME).is_file():
            digest = sha256_of(home.package / NAME)
            with atomic_file(home.manifests / f"{1:04}.dsse.json") as temporary:
                shutil.copyfile(home.package / NAME, temporary)
        if any(manifest.revokes == digest for manifest in later):
            return
        number = max((manifest.number for manifest in later), default=1) + 1
        day = today().isoformat()
        manifest = Manifest(release=home.id, number=number, revokes=digest, day=day, reason=reason)
        with atomic_file(home.revoked / f"{day}-{number:04}.dsse.json") as temporary:
            temporary.write_bytes(seal(manifest, key=key))

    def with_member(self, participant: str) -> Iterator[ReleaseHome]:
        """Yield the releases with the participant among their members, by ID."""
        for home in releases(self.workspace):
            if Members(home.members, home.id, member_ring(self.registry)).holds(participant):
                yield home


def revoke_release(
    workspace: Path, release: str, *, registry: Registry, reason: str, participant: str = ""
) -> ReleaseHome:
    """Revoke the package of ``release``, because of ``participant`` if named; a second call changes nothing.

    Raises:
        InputRefused: There is no such release, it never had a package, the participant is none of its members, or the
            reason has what no manifest may have.
    """
    home = release_home(workspace, release)
    home.read_plan()
    problems = list(reason_problems(reason, readers="the recipients of the release"))
    if not home.is_released:
        problems.append(Problem(file=release, expected="a release with a package", found="none was built"))
    revoker = Revoker(workspace=workspace, registry=registry)
    if participant and not Members(home.members, home.id, member_ring(registry)).holds(participant):
        problems.append(
            Problem(
                file="--participant",
                expected=f"a member of {release}",
                found="somebody else",
                action="`baekman release status --participant` lists the releases of a participant",
            )
        )
    if problems:
        raise InputRefused(problems)
    revoker.revoke(home, reason=reason, participant=participant)
    if participant:
        revoker.destroy_row(home, participant)
    return home


def revoke_changed(workspace: Path, *, registry: Registry, participant: str = "") -> list[ReleaseHome]:
    """Revoke every package in which a member, or ``participant``, no longer grants a scope; return those that had one.

    A second call changes nothing. Unfinished packages of these releases are deleted too. A release that cannot be read
    stops no other.

    Raises:
        InputRefused, DamagedFile: A release cannot be read; all others are revoked.
    """
    revoked, faults = _revoke_changed(workspace, registry=registry, participant=participant)
    if faults:
        raise next(iter(faults.values()))
    return revoked


def is_asked_today(workspace: Path) -> bool:
    """Return whether ``revoke_ended`` has nothing to ask today: it has asked, or there is no package."""
    if not any(_has_package(home) for home in releases(workspace)):
        return True
    try:
        return _asked(workspace).read_text(encoding="utf-8") == today().isoformat()
    except (FileNotFoundError, ValueError):
        return False


def revoke_ended(workspace: Path, *, registry: Registry) -> list[str]:
    """Revoke each package in which the consent of a member has ended, by its date or at majority.

    Returns:
        A line for each release that was revoked, and for each that cannot be read. The next call asks those again.
    """
    revoked, faults = _revoke_changed(workspace, registry=registry)
    lines = [f"release {home.id} is revoked; `baekman release status` lists who must delete it" for home in revoked]
    for release, fault in faults.items():
        cause = fault.problems[0] if isinstance(fault, InputRefused) else fault
        lines.append(f"release {release}: whether the consent of a member has ended is not known: {cause}")
    return lines


def _revoke_changed(
    workspace: Path, *, registry: Registry, participant: str = ""
) -> tuple[list[ReleaseHome], dict[str, Exception]]:
    """Return the releases that were revoked, and why others cannot be read; note the day if all members were asked."""
    revoker = Revoker(workspace=workspace, registry=registry)
    day, reason = today().isoformat(), SCOPE if participant else ENDED
    revoked: list[ReleaseHome] = []
    faults: dict[str, Exception] = {}
    homes = [home for home in releases(workspace) if _has_package(home)]
    for home in homes:
        try:
            has_changed = revoker.has_changed(home, participant=participant)
            if has_changed and revoker.revoke(home, reason=reason, participant=participant):
                revoked.append(home)
        except (InputRefused, DamagedFile) as fault:
            faults[home.id] = fault
    if faults:
        _asked(workspace).unlink(missing_ok=True)
    elif homes and not participant:
        write_text(_asked(workspace), day)
    return revoked, faults


def _asked(workspace: Path) -> Path:
    return Workspace(workspace).releases / ASKED


def revoke_project(workspace: Path, project: str, *, registry: Registry) -> list[ReleaseHome]:
    """Revoke the packages of a closed project with rows of participants; return those that had one.

    Counts (tier ``open``) stay: they may be published. A second call changes nothing.
    """
    revoker = Revoker(workspace=workspace, registry=registry)
    plans = [(home, home.read_plan()) for home in releases(workspace) if _has_package(home)]
    return [
        home
        for home, plan in plans
        if plan.project == project and plan.tier != "open" and revoker.revoke(home, reason=PROJECT_CLOSED)
    ]


def _has_package(home: ReleaseHome) -> bool:
    """Return whether a release has a package, one that is not finished, or one on its way out."""
    return home.package.is_dir() or any(next(home.path.glob(f"{each}*"), None) for each in (UNFINISHED, GOING))


def copies_outside(workspace: Path, participant: str, *, registry: Registry) -> dict[str, list[dict[str, Any]]]:
    """Return the revoked releases with ``participant``, as a receipt lists them, by ID.

    Returns:
        Nothing without any, else the key ``releases``, for each with ``release``, ``project``, ``tier``, ``manifest``
        (the name of the one that revokes it), ``revoked`` (its day) and ``delete`` (``name`` and ``institution`` of
        the people who must delete every copy outside).
    """
    listed = []
    for home in Revoker(workspace=workspace, registry=registry).with_member(participant):
        if paths := revocations(home):
            plan = home.read_plan()
            entry = {"release": home.id, "project": plan.project, "tier": plan.tier, "manifest": paths[-1].name}
            entry["revoked"] = paths[-1].name[: len("YYYY-MM-DD")]
            listed.append({**entry, "delete": _holders(plan, open_project(workspace, plan.project))})
    return {"releases": listed} if listed else {}


def leave_releases(workspace: Workspace, participant: str, *, registry: Registry, note: RemovalNote) -> set[str]:
    """Revoke every release of a participant who withdraws; return a line for each, as a receipt lists it.

    ``note`` gets the releases first, so the receipt of a withdrawal that was killed has them too.
    """
    revoker = Revoker(workspace=workspace.root, registry=registry)
    homes = {home.id: home for home in revoker.with_member(participant)}
    if having := {name for name, home in homes.items() if home.package.is_dir()}:
        note.releases |= having
        note.is_done = False
        note.save()
    for home in homes.values():
        revoker.revoke(home, reason=WITHDRAWAL, participant=participant)
        revoker.destroy_row(home, participant)
    return {
        f"{workspace.releases.name}/{name}/{homes[name].package.name}: revoked by {revocations(homes[name])[-1].name}"
        for name in note.releases
        if name in homes
    }


def _remove_unfinished(home: ReleaseHome) -> None:
    """Delete what killed builds left; a build that runs asks for consent itself before it ends."""
    try:
        with exclusive(home.path / ".build.lock", waits_for="a build of this release", limit=0):
            for path in home.path.glob(f"{UNFINISHED}*"):
                shutil.rmtree(path)
    except TimeoutError:
        return


# -- status


def statuses(
    workspace: Path,
    *,
    release: str = "",
    participant: str = "",
    registry: Registry | None = None,
    faults: list[Exception] | None = None,
) -> list[dict[str, Any]]:
    """Return the standing of the releases of ``workspace``, or of one, or of those with ``participant``.

    ``faults`` gets the errors of releases that cannot be read, which are left out; without it the first one is raised.

    Returns:
        For each, by ID: ``release``, ``project``, ``tier``, ``members``, ``state`` (``proposed``, ``built`` or
        ``revoked``), ``changed`` (members of a package who have taken consent back; null without a ``registry``),
        ``revoked`` (``manifest``, ``number``, ``day``, ``reason`` of each later manifest), ``manifests`` (``manifest``,
        ``number``, ``sha256`` and ``revokes`` of each, verified) and ``delete`` (``name`` and ``institution`` of the
        people who must delete every copy outside).

    Raises:
        InputRefused: There is no such release, or a manifest is not as it was signed.
        DamagedFile: A later manifest revokes another one than that which is there.
    """
    listed: list[dict[str, Any]] = []
    for home in [release_home(workspace, release)] if release else releases(workspace):
        try:
            if not participant or _holds(home, participant, registry):
                listed.append(_status(workspace, home, registry))
        except (InputRefused, OSError) as fault:
            if faults is None:
                raise
            faults.append(fault)
    return listed


def _holds(home: ReleaseHome, participant: str, registry: Registry | None) -> bool:
    assert registry is not None
    return Members(home.members, home.id, member_ring(registry)).holds(participant)


def _status(workspace: Path, home: ReleaseHome, registry: Registry | None) -> dict[str, Any]:
    plan = home.read_plan()
    project = open_project(workspace, plan.project)
    paths = revocations(home)
    manifests = _chain(workspace, home)
    changed = None
    if registry is not None and home.package.is_dir():
        changed = changed_members(workspace, home, project=project, registry=registry, at=today())
    return {
        "release": home.id,
        "project": plan.project,
        "tier": plan.tier,
        "members": plan.members,
        "state": "revoked" if paths else "built" if home.package.is_dir() else "proposed",
        "changed": changed,
        "revoked": [
            {"manifest": path.name, "number": manifest.number, "day": manifest.day, "reason": manifest.reason}
            for path, manifest, _ in manifests
            if manifest.revokes
        ],
        "manifests": [
            {
                "manifest": path.relative_to(home.path).as_posix(),
                "number": manifest.number,
                "sha256": digest,
                "revokes": manifest.revokes,
            }
            for path, manifest, digest in manifests
        ],
        "delete": _holders(plan, project) if paths or changed else [],
    }


def _holders(plan: Plan, project: Project) -> list[dict[str, str]]:
    """Return ``name`` and ``institution`` of the people who may have copies of a package outside."""
    people = [
        {"name": person.name, "institution": person.institution or project.institution} for person in project.people
    ]
    if plan.recipient and plan.recipient not in {person["name"] for person in people}:
        people.append({"name": plan.recipient, "institution": ""})
    return people


def _chain(workspace: Path, home: ReleaseHome) -> list[tuple[Path, Manifest, str]]:
    """Return file, content and SHA-256 of each manifest of a release, each with the signature of this workspace.

    The package's own comes first, then those that revoke it. DamagedFile: one of these revokes another manifest.
    """
    kept = sorted(home.manifests.glob("*.dsse.json"))
    paths = [*(kept or [path for path in [home.package / NAME] if path.is_file()]), *revocations(home)]
    if not paths:
        return []
    key = PublicKey.read(public_file(workspace), named="release.pub")
    chain = [(path, *open_manifest(path, key=key)) for path in paths]
    of_package = {digest for _, manifest, digest in chain if not manifest.revokes}
    for path, manifest, _ in chain:
        if manifest.release != home.id or (of_package and manifest.revokes and manifest.revokes not in of_package):
            raise DamagedFile(path)
    return chain
