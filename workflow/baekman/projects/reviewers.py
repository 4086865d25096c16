"""The keys of reviewers, ``<workspace>/projects/reviewers.jsonl``: who may decide, in which role, and until when.

A reviewer keeps the private part; the workspace has the public part. A key is added or revoked by a new line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from baekman.errors import InputRefused, Problem
from baekman.projects.project import Project, comparable, open_project, project_ids
from baekman.projects.recorded_lines import RecordedLine, RecordedLines
from baekman.projects.signing import PublicKey, SigningKey, canonical_json
from baekman.workspace.paths import Workspace

Role = Literal["irb", "drb", "checker"]
ROLES: tuple[Role, ...] = ("irb", "drb", "checker")
FILE = "reviewers.jsonl"
ACTION = "project.key"
SHOWN = 16  # characters of a key's ID in messages and in the audit log
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Reviewer:
    """A person with a role, from the first to the last day (inclusive) of their key."""

    name: str
    role: Role
    institution: str
    valid_from: date
    valid_to: date


@dataclass(frozen=True, kw_only=True)
class ReviewerKey:
    """The public key of a reviewer; ``is_revoked`` keys approve nothing."""

    public: PublicKey
    reviewer: Reviewer
    is_revoked: bool = False

    @property
    def id(self) -> str:
        """The ID of the key."""
        return self.public.id

    def to_json(self) -> dict[str, Any]:
        """Return the key without its bytes."""
        reviewer = self.reviewer
        return {
            "key": self.id,
            "reviewer": reviewer.name,
            "role": reviewer.role,
            "institution": reviewer.institution,
            "valid_from": reviewer.valid_from.isoformat(),
            "valid_to": reviewer.valid_to.isoformat(),
            "is_revoked": self.is_revoked,
        }


def make_reviewer_key(workspace: Path, reviewer: Reviewer, *, file: Path) -> tuple[ReviewerKey, bool]:
    """Make a key for ``reviewer``: the private part in ``file`` (mode 0600), the public part in ``workspace``.

    Returns:
        The key, and whether it is new. A key in ``file`` that has no reviewer yet, as a killed command leaves it, is
        taken; one of the same reviewer stays as it is.

    Raises:
        InputRefused: The reviewer's fields are malformed, or ``file`` is something else or the key of another reviewer.
    """
    if problems := list(_problems(reviewer)):
        raise InputRefused(problems)
    lines = _lines(workspace)
    SigningKey.new().write(file)
    public = SigningKey.read(file).public
    lines.file.parent.mkdir(parents=True, exist_ok=True)
    with lines.appending() as (recorded, append):
        known = _keys(recorded).get(public.id)
        if known is not None and known.reviewer != reviewer:
            raise InputRefused(
                Problem(
                    file="--key",
                    expected="a place without a file, or the key of this reviewer",
                    found="the key of another reviewer, role or time",
                    action="name another place: each reviewer and role has a key of its own",
                )
            )
        if known is not None:
            return known, False
        content = {
            "event": "added",
            "key": public.pem,
            "reviewer": reviewer.name,
            "role": reviewer.role,
            "institution": reviewer.institution,
            "valid_from": reviewer.valid_from.isoformat(),
            "valid_to": reviewer.valid_to.isoformat(),
        }
        append(_line(content, previous=lines.last_digest()), object=public.id[:SHOWN])
    return ReviewerKey(public=public, reviewer=reviewer), True


def inside(project: Project, reviewer: Reviewer) -> str:
    """Return why ``reviewer`` is not outside ``project``; "" when they are."""
    if project.has_member(reviewer.name):
        return "the reviewer is a member of the project"
    # an IRB is that of the applicant's institution; the DRB decides for everybody else
    if reviewer.role == "drb" and comparable(reviewer.institution) in project.institutions:
        return "the reviewer is of the project's institution"
    return ""


def require_outside(workspace: Path, reviewer: Reviewer) -> dict[str, str]:
    """Return the open projects that ``reviewer`` may not decide on: ID -> why (``inside``).

    A project without proof in the audit log takes no decisions and is passed over.

    Raises:
        InputRefused: The reviewer is inside of every open project, so a key of theirs could decide on nothing.
    """
    opened = list(_open_projects(workspace))
    causes = {project.id: cause for project in opened if (cause := inside(project, reviewer))}
    if causes and len(causes) == len(opened):
        raise InputRefused(
            Problem(
                file="--reviewer",
                expected="a person outside the project",
                found=f"{next(iter(causes.values()))} {next(iter(causes))}",
                action="name another person: two people outside the project decide on its releases",
            )
        )
    return causes


def _open_projects(workspace: Path) -> Iterator[Project]:
    for project_id in project_ids(workspace):
        try:
            project = open_project(workspace, project_id)
        except InputRefused:
            continue
        if not project.is_closed:
            yield project


def revoke_key(workspace: Path, key_id: str) -> bool:
    """Revoke the key with this ID, or the only one with this beginning; return False when it was revoked before.

    Its approvals count no more. A rejection by it still blocks, so that nobody revokes a key to be rid of a rejection;
    the reviewer may decide again with another key.

    Raises:
        InputRefused: There is no such key, or several.
    """
    lines = _lines(workspace)
    with lines.appending() as (recorded, append):
        keys = [key for name, key in _keys(recorded).items() if key_id and name.startswith(key_id)]
        if len(keys) != 1:
            raise InputRefused(
                Problem(
                    file="--revoke",
                    expected="the ID of one key of a reviewer",
                    found="several with this beginning" if keys else "no such key",
                    action="`baekman project keys` lists them",
                )
            )
        if keys[0].is_revoked:
            return False
        content = {"event": "revoked", "key": keys[0].public.pem}
        append(_line(content, previous=lines.last_digest()), object=keys[0].id[:SHOWN])
    return True


def reviewer_keys(workspace: Path) -> dict[str, ReviewerKey]:
    """Return the keys of reviewers by ID, in the order of their making; errors as ``RecordedLines.read``."""
    return _keys(_lines(workspace).read())


def _lines(workspace: Path) -> RecordedLines:
    file = Workspace(workspace).projects / FILE
    return RecordedLines(workspace=workspace, file=file, action=ACTION, object="", previous_of=_previous_of)


def _previous_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["previous"])
    except (ValueError, KeyError, TypeError):
        return ""


def _line(content: dict[str, str], *, previous: str) -> bytes:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return canonical_json({**content, "time": time, "previous": previous}) + b"\n"


def _keys(lines: Iterable[RecordedLine]) -> dict[str, ReviewerKey]:
    keys: dict[str, ReviewerKey] = {}
    for line in lines:
        content = json.loads(line.data)
        public = PublicKey.from_pem(content["key"], named=FILE)
        if content["event"] == "revoked":
            keys[public.id] = replace(keys[public.id], is_revoked=True)
            continue
        reviewer = Reviewer(
            name=content["reviewer"],
            role=content["role"],
            institution=content["institution"],
            valid_from=date.fromisoformat(content["valid_from"]),
            valid_to=date.fromisoformat(content["valid_to"]),
        )
        keys[public.id] = ReviewerKey(public=public, reviewer=reviewer)
    return keys


def _problems(reviewer: Reviewer) -> Iterable[Problem]:
    for option, text in (("--reviewer", reviewer.name), ("--institution", reviewer.institution)):
        if not comparable(text) or len(text) > LONGEST_NAME or not text.isprintable():
            yield Problem(
                file=option,
                expected=f"a name, 1 to {LONGEST_NAME} characters",
                found="no such text",
                action="write the name as in project.yaml",
            )
    if reviewer.role not in ROLES:
        yield Problem(file="--role", expected=", ".join(ROLES), found="another word")
    if reviewer.valid_to < reviewer.valid_from:
        yield Problem(file="--to", expected="a day after --from", found="an earlier one")
