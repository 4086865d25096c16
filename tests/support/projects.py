"""A project as an applicant describes it, and reviewers who decide on its plans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from baekman import audit, pseudonyms
from baekman.audit.lines import digest_of
from baekman.consent import today
from baekman.projects.decisions import Choice, Decision, Verdict, decide, require_approved
from baekman.projects.project import Project, add_project
from baekman.projects.reviewers import Reviewer, Role, make_reviewer_key
from baekman.projects.signing import SigningKey

RELEASE = "R" + "0" * 11 + "1"
RELEASE += pseudonyms.check_character(RELEASE)
FIRST, SECOND = (body + pseudonyms.check_character(body) for body in ("J" + "0" * 12, "J" + "1" * 12))
SEEN, CHANGED = "ab" * 32, "cd" * 32

DESCRIPTION = """\
title: 당뇨병의 희귀 변이
purpose: [DUO:0000007]
diseases: [MONDO:0005148]
people:
  - {name: 김연구, institution: 서울대학교}
  - {name: Lee Jiwoo}
institution: 서울대학교
commercial: false
overseas: false
scopes: [genome, clinical]
irb: {number: 2026-017, date: 2026-01-05, expires: 2099-01-04}
"""


def describe(folder: Path, text: str = DESCRIPTION, *, name: str = "project.yaml") -> Path:
    """Write a description to ``folder`` and return its path."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def reviewer(name: str, role: Role, *, institution: str = "국가심의센터", days: tuple[int, int] = (0, 365)) -> Reviewer:
    """Return a reviewer with a key that is valid from and to so many days after today."""
    first, last = (today() + timedelta(days=number) for number in days)
    return Reviewer(name=name, role=role, institution=institution, valid_from=first, valid_to=last)


@dataclass
class Board:
    """A project with the keys of an IRB and a DRB reviewer, who decide on the plan ``SEEN``."""

    folder: Path
    project: Project
    irb: SigningKey
    drb: SigningKey

    def key(self, person: Reviewer) -> SigningKey:
        """Make the key of another reviewer."""
        file = self.folder / f"{pseudonyms.new('S')}.key"
        make_reviewer_key(self.project.workspace, person, file=file)
        return SigningKey.read(file)

    def decide(self, key: SigningKey, verdict: Verdict = "approve", **fields: Any) -> Decision:
        """Decide with ``key``."""
        choice = {"release": RELEASE, "seen": SEEN, "verdict": verdict, "reason": "근거가 충분함", **fields}
        return decide(self.project, Choice(**choice), key=key)[0]

    def approve(self) -> None:
        """Approve the plan with both keys."""
        self.decide(self.irb)
        self.decide(self.drb)

    def require_approved(self, *, seen: str = SEEN, after: int = 0) -> None:
        """Require the approval of a plan so many days ``after`` today."""
        require_approved(self.project, seen=seen, at=today() + timedelta(days=after))

    def plant(self, line: bytes, *, project: Project | None = None) -> None:
        """Add a line to the decisions by hand, with an event in the audit log."""
        place = project or self.project
        audit.record(
            place.workspace, action="project.decide", object=f"{place.id},{RELEASE}", input_hash=digest_of(line)
        )
        with (place.home / "decisions.jsonl").open("ab") as lines:
            lines.write(line)

    def statement(self, person: Reviewer, **fields: str) -> dict[str, Any]:
        """Return the statement of an approval after the lines that are there."""
        file = self.project.home / "decisions.jsonl"
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        return {
            "project": self.project.id,
            "release": RELEASE,
            "role": person.role,
            "reviewer": person.name,
            "verdict": "approve",
            "reason": "x",
            "plan": SEEN,
            "time": "2026-01-01T00:00:00+00:00",
            "expires": "2027-12-31",
            "previous": digest_of(lines[-1]) if lines else "0" * 64,
            **fields,
        }


IRB, DRB = reviewer("이심사", "irb", institution="서울대학교"), reviewer("박결정", "drb")


def make_board(folder: Path) -> Board:
    """Return a board in the workspace ``folder/W``."""
    project, _ = add_project(folder / "W", describe(folder))
    keys = []
    for person in (IRB, DRB):
        make_reviewer_key(folder / "W", person, file=folder / f"{person.role}.key")
        keys.append(SigningKey.read(folder / f"{person.role}.key"))
    return Board(folder, project, *keys)
