"""A research project: ``project.yaml``, and the folder ``<workspace>/projects/<J…>``.

The audit log has the SHA-256 of the description before the file is written. A description that was edited afterwards
is refused, since reviewers decided on the one that they saw.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from baekman import audit, pseudonyms
from baekman.config.sheet import describe, read_sheet, schema_problems
from baekman.consent import Scope
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import write_text
from baekman.files.locks import exclusive
from baekman.workspace.identity import identify
from baekman.workspace.paths import Workspace

SHEET = "project.yaml"
CLOSING = "closed.json"
SHEET_LIMIT = 1 << 18  # bytes
ADDED = "project.add"
CLOSED = "project.close"
DISEASE_SPECIFIC = "DUO:0000007"
# short names that the ontology itself gives its terms
SHORT_NAMES = {"HMB": "DUO:0000006", "DS": DISEASE_SPECIFIC, "POA": "DUO:0000011", "GRU": "DUO:0000042"}
_LISTS = ("purpose", "diseases", "people", "scopes")


@dataclass(frozen=True, kw_only=True)
class Person:
    """A member of a project; "" for what the description leaves out."""

    name: str
    institution: str = ""
    role: str = ""
    email: str = ""
    orcid: str = ""


@dataclass(frozen=True, kw_only=True)
class IrbApproval:
    """The approval of an institutional review board: ``date`` and ``expires`` are its first and last day."""

    number: str
    date: datetime.date
    expires: datetime.date


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project as its ``project.yaml`` describes it.

    Attributes:
        workspace: Folder of the workspace.
        id: The project's ID, ``J…``.
        purpose: Terms of the Data Use Ontology, sorted.
        diseases: Terms of MONDO, sorted.
        people: The members.
        commercial: Whether the use is commercial.
        overseas: Whether data is used outside Korea.
        scopes: The kinds of data asked for, in the order of ``Scope``.
        digest: SHA-256 (hex) of the description.
        is_closed: Whether the project was closed; nothing is released to it any more.
    """

    workspace: Path
    id: str
    title: str
    purpose: tuple[str, ...]
    diseases: tuple[str, ...]
    people: tuple[Person, ...]
    institution: str
    commercial: bool
    overseas: bool
    scopes: tuple[Scope, ...]
    irb: IrbApproval
    digest: str
    is_closed: bool = False

    @property
    def home(self) -> Path:
        """The folder of the project."""
        return Workspace(self.workspace).projects / self.id

    @property
    def required_scopes(self) -> frozenset[Scope]:
        """The scopes that a participant must have granted: those of the data, and of a commercial or overseas use."""
        uses = {Scope.COMMERCIAL_USE: self.commercial, Scope.OVERSEAS_USE: self.overseas}
        return frozenset({*self.scopes, *(scope for scope, is_asked in uses.items() if is_asked)})

    @cached_property
    def institutions(self) -> frozenset[str]:
        """The institutions of the project and of its members, each as ``comparable`` returns it."""
        names = {self.institution, *(person.institution for person in self.people)}
        return frozenset(comparable(name) for name in names if name)

    def has_member(self, name: str) -> bool:
        """Return whether a member has this ``name``, in any spelling."""
        return comparable(name) in {comparable(person.name) for person in self.people}

    def require_open(self) -> None:
        """Raise InputRefused when the project was closed."""
        if self.is_closed:
            raise InputRefused(
                Problem(
                    file=self.id,
                    expected="an open project",
                    found="a closed one",
                    action="describe a new project with `baekman project add`",
                )
            )

    def to_json(self) -> dict[str, Any]:
        """Return the description with ``id`` and ``is_closed``, as JSON values."""
        return {"id": self.id, "is_closed": self.is_closed, "digest": self.digest, **_description(self)}


def comparable(name: str) -> str:
    """Return a name of a person or institution in the form in which two spellings of it are equal."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def read_description(file: Path) -> dict[str, Any]:
    """Return the description in ``file``, in canonical form: lists sorted, absent parts left out.

    Raises:
        InputRefused: The file is no description of a project, with a line for each fault.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(SHEET_LIMIT + 1)
    except OSError:
        problem = Problem(file=SHEET, expected="a readable file", found="none", action="check the path")
        raise InputRefused(problem) from None
    if len(content) > SHEET_LIMIT:
        raise InputRefused(Problem(file=SHEET, expected=f"at most {SHEET_LIMIT} bytes", found="more"))
    problems: list[Problem] = []
    sheet = read_sheet(content, file=SHEET, problems=problems, booleans=True)
    if sheet is not None:
        sheet = _canonical(sheet)
        problems += [*schema_problems(sheet, schema="project", file=SHEET), *_other_problems(sheet)]
    if sheet is None or problems:
        raise InputRefused(problems)
    return sheet


def add_project(workspace: Path, file: Path) -> tuple[Project, bool]:
    """Add the project that ``file`` describes; return it, and whether it is new. The same description is one project.

    Raises:
        InputRefused: As ``read_description``.
    """
    description = read_description(file)
    text = _text(description)
    digest = hashlib.sha256(text.encode()).hexdigest()
    place = Workspace(workspace)
    with exclusive(place.projects / ".lock", waits_for="another command that adds a project"):
        added, closed = _events(workspace)
        project_id = next((each for each, recorded in added.items() if recorded == digest), "")
        if not project_id:
            # where the audit log was begun again, it has no event of the folders that are there
            project_id = next((each for each in _unrecorded(place, added) if _digest_in(place, each) == digest), "")
            project_id = project_id or pseudonyms.new("J")
            identify(place)
            audit.record(workspace, action=ADDED, object=project_id, input_hash=digest)
        is_new = _digest_in(place, project_id) is None
        if is_new:
            write_text(place.projects / project_id / SHEET, text)
    is_closed = project_id in closed
    return _project(workspace, project_id, description, digest=digest, is_closed=is_closed), is_new


def open_project(workspace: Path, project_id: str) -> Project:
    """Return the project ``project_id`` of ``workspace``, also a closed one (``Project.require_open``).

    Raises:
        InputRefused: There is none, or its description is not the one that the audit log has.
    """
    pseudonyms.check(project_id, "J")
    audit.require_whole(workspace)
    return _recorded_project(workspace, project_id, _events(workspace))


def projects(workspace: Path) -> Iterator[Project]:
    """Yield the projects of ``workspace`` by ID; errors are those of ``open_project``."""
    audit.require_whole(workspace)
    events = _events(workspace)
    for file in sorted(Workspace(workspace).projects.glob(f"J*/{SHEET}")):
        yield _recorded_project(workspace, file.parent.name, events)


def project_ids(workspace: Path) -> list[str]:
    """Return the IDs of projects that the audit log or a folder has, sorted."""
    added, _ = _events(workspace)
    return sorted({*added, *_unrecorded(Workspace(workspace), added)})


def _recorded_project(workspace: Path, project_id: str, events: tuple[dict[str, str], set[str]]) -> Project:
    """Return a project if its description is the one in ``events`` (of ``_events``)."""
    added, closed = events
    file = Workspace(workspace).projects / project_id / SHEET
    if not file.is_file():
        raise InputRefused(
            Problem(
                file=project_id,
                expected="a project of this workspace",
                found="none of this ID",
                action="`baekman project show` lists them",
            )
        )
    text = file.read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    if added.get(project_id) != digest:
        raise InputRefused(
            Problem(
                file=SHEET,
                place=project_id,
                expected="the description that is in the audit log",
                found="another" if project_id in added else "no event of its adding",
                action="restore the file from a back-up; another description is another project",
            )
        )
    description = yaml.safe_load(text)
    return _project(workspace, project_id, description, digest=digest, is_closed=project_id in closed)


def _events(workspace: Path) -> tuple[dict[str, str], set[str]]:
    """Return project ID -> digest of its description by the audit log, and the IDs of closed projects."""
    added: dict[str, str] = {}
    # where the log was begun again, the note of a closing is what is left of it
    closed = {path.parent.name for path in Workspace(workspace).projects.glob(f"J*/{CLOSING}")}
    for event in audit.events_of(workspace, {ADDED, CLOSED}):
        if event["action"] == ADDED:
            added[event["object"]] = event["input_hash"]
        else:
            closed.add(event["object"])
    return added, closed


def _unrecorded(workspace: Workspace, added: Mapping[str, str]) -> list[str]:
    return sorted({path.parent.name for path in workspace.projects.glob(f"J*/{SHEET}")} - added.keys())


def _digest_in(workspace: Workspace, project_id: str) -> str | None:
    """Return the SHA-256 of the description of a project; None without the file."""
    file = workspace.projects / project_id / SHEET
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _canonical(sheet: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``sheet`` with lists where a single value is allowed, stripped texts, full DUO terms, and sorted lists."""
    values = {str(key): _stripped(value) for key, value in sheet.items()}
    for key in _LISTS:
        if key in values and not isinstance(values[key], list):
            values[key] = [values[key]]
    if isinstance(values.get("people"), list):
        values["people"] = [{"name": each} if isinstance(each, str) else each for each in values["people"]]
    if isinstance(values.get("purpose"), list):
        values["purpose"] = [
            SHORT_NAMES.get(each, each) if isinstance(each, str) else each for each in values["purpose"]
        ]
    for key in ("purpose", "diseases", "scopes"):
        if isinstance(values.get(key), list):
            values[key] = sorted(values[key], key=json.dumps)
    return values


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value.strip())
    if isinstance(value, dict):
        return {str(key): _stripped(each) for key, each in value.items()}
    return [_stripped(each) for each in value] if isinstance(value, list) else value


def _other_problems(sheet: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the faults that the schema does not see."""
    if DISEASE_SPECIFIC in (sheet.get("purpose") or ()) and "diseases" not in sheet:
        found = "no key diseases"
        yield Problem(file=SHEET, place="purpose", expected=f"diseases (MONDO) for {DISEASE_SPECIFIC}", found=found)
    irb = sheet.get("irb")
    days = {key: _day(irb.get(key)) for key in ("date", "expires")} if isinstance(irb, dict) else {}
    for key, day in days.items():
        if day is None and isinstance(irb, dict) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", str(irb.get(key))):
            yield Problem(file=SHEET, place=f"irb.{key}", expected="a day of the calendar", found=describe(irb[key]))
    first, last = days.get("date"), days.get("expires")
    if first and last and last < first:
        yield Problem(file=SHEET, place="irb.expires", expected="a day after irb.date", found="an earlier one")


def _day(text: object) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _text(description: Mapping[str, Any]) -> str:
    """Return ``description`` as YAML: the same text for the same content."""
    return str(yaml.safe_dump(dict(description), allow_unicode=True, sort_keys=True, width=100, default_style='"'))


def _project(
    workspace: Path, project_id: str, values: Mapping[str, Any], *, digest: str, is_closed: bool = False
) -> Project:
    irb = values["irb"]
    return Project(
        workspace=workspace,
        id=project_id,
        title=values["title"],
        purpose=tuple(values["purpose"]),
        diseases=tuple(values.get("diseases", ())),
        people=tuple(Person(**person) for person in values["people"]),
        institution=values["institution"],
        commercial=values["commercial"],
        overseas=values["overseas"],
        scopes=tuple(scope for scope in Scope if scope.value in values["scopes"]),
        irb=IrbApproval(
            number=irb["number"],
            date=datetime.date.fromisoformat(irb["date"]),
            expires=datetime.date.fromisoformat(irb["expires"]),
        ),
        digest=digest,
        is_closed=is_closed,
    )


def _description(project: Project) -> dict[str, Any]:
    irb = project.irb
    return {
        "title": project.title,
        "purpose": list(project.purpose),
        "diseases": list(project.diseases),
        "people": [{key: value for key, value in vars(person).items() if value} for person in project.people],
        "institution": project.institution,
        "commercial": project.commercial,
        "overseas": project.overseas,
        "scopes": [scope.value for scope in project.scopes],
        "irb": {"number": irb.number, "date": irb.date.isoformat(), "expires": irb.expires.isoformat()},
    }
