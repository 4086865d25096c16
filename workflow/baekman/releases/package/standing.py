"""The standing of a release: the consent of its members now, its revocations, and its opening."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from baekman import audit
from baekman.consent import Scope, today
from baekman.errors import InputRefused, Problem
from baekman.projects.decisions import require_approved
from baekman.projects.project import Project, open_project
from baekman.releases.admission import admitted
from baekman.releases.home import ReleaseHome, release_home
from baekman.releases.members import Members, member_ring
from baekman.releases.package.verify import LATER
from baekman.releases.planning import uses_of
from baekman.workspace.denied import denied_participants, withdrawn_participants
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    from baekman.registry.records import Registry

OPENED = "release.open"


def revocations(home: ReleaseHome) -> list[Path]:
    """Return the later manifests of a release, by date and number."""
    return sorted(home.revoked.glob(LATER))


def changed_members(
    workspace: Path, home: ReleaseHome, *, project: Project, registry: Registry, at: date, participant: str = ""
) -> int:
    """Return the number of members who have not granted at ``at`` all that the release was proposed with.

    Who has granted more since then has not changed. With ``participant``, nobody else is counted.
    """
    withdrawn, no_genome = withdrawn_participants(Workspace(workspace)), denied_participants(Workspace(workspace))
    scopes, uses = frozenset(project.scopes), uses_of(project)
    changed = 0
    for _, members in Members(home.members, home.id, member_ring(registry)).by_bucket():
        members = [member for member in members if participant in ("", member.participant_id)]
        ids = [member.participant_id for member in members]
        now = {member.participant_id: member for member in admitted(registry, ids, scopes=scopes, uses=uses, at=at)}
        for member in members:
            # marks and lists hold denials of a change that the registry does not have yet
            has_genome = Scope.GENOME in scopes and Scope.GENOME not in member.denied
            is_denied = member.participant_id in (no_genome if has_genome else withdrawn)
            standing = now.get(member.participant_id)
            changed += is_denied or standing is None or not set(standing.denied) <= set(member.denied)
    return changed


def require_members_admitted(
    workspace: Path, home: ReleaseHome, *, project: Project, registry: Registry, at: date
) -> None:
    """Raise InputRefused when a member no longer consents to the release, or to one of its scopes.

    The message counts the members and names nobody.
    """
    if changed := changed_members(workspace, home, project=project, registry=registry, at=at):
        raise InputRefused(
            Problem(
                file=home.id,
                expected="the consent of each member as it was when the release was proposed",
                found=f"{changed} members with another one now",
                action="propose the request again; `baekman release status` lists what must be deleted",
            )
        )


def open_release(
    workspace: Path, release: str, *, registry: Registry, purpose: str = "", at: date | None = None
) -> ReleaseHome:
    """Return the home of a release that may be read now, after the audit log has the opening.

    A room calls it each time; the answer holds for this opening only.

    Args:
        workspace: Folder of the workspace.
        release: ID of the release.
        registry: The open registry.
        purpose: The use, for the audit log.
        at: The day of consent and decisions; today by default.

    Raises:
        InputRefused: There is no package, it is encrypted to a recipient, it was revoked, a decision has expired, or a
            member's consent has changed.
    """
    home = release_home(workspace, release)
    plan = home.read_plan()
    if plan.recipient_key:
        raise InputRefused(
            Problem(
                file=home.id,
                expected="a release that can be read here",
                found="a transfer, which its recipient alone can decrypt",
                action="propose the request in the tier room",
            )
        )
    project = open_project(workspace, plan.project)
    project.require_open()
    if later := revocations(home):
        raise InputRefused(
            Problem(
                file=home.id,
                expected="a release that is not revoked",
                found=f"manifest {later[-1].name}, which revokes it",
                action="use the next release; delete every copy of this one",
            )
        )
    if not home.package.is_dir():
        raise InputRefused(
            Problem(file=home.id, expected="a package", found="none", action=f"run `baekman release build {home.id}`")
        )
    day = at or today()
    require_approved(project, seen=plan.hash, at=day)
    require_members_admitted(workspace, home, project=project, registry=registry, at=day)
    audit.record_use(workspace, action=OPENED, object=home.id, purpose=purpose, input_hash=plan.hash)
    return home
