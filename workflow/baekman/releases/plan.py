"""The plan of a release: what would be released, and the checks on it. Equal state and request give equal bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.sidecar import read_checked, sidecar_path, write_checked
from baekman.verdicts import Scalar

CheckVerdict = Literal["pass", "told", "fail"]
CHECK_VERDICTS: tuple[CheckVerdict, ...] = get_args(CheckVerdict)
PLAN_FILE = "plan.json"
REQUEST_FILE = "request.yaml"
REVIEW_FILE = "review.html"
VERSION = 1  # of the layout of plan.json


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check of a plan, like the reason of a verdict.

    ``verdict``: ``pass``; ``told``, which reviewers see and decide on; or ``fail``, with which nothing is built.
    ``code`` is a fixed snake_case word. ``observed`` and ``limit`` never hold a confidential value.
    """

    code: str
    observed: Scalar = None
    limit: Scalar = None
    verdict: CheckVerdict = "pass"

    def __post_init__(self) -> None:
        if self.verdict not in CHECK_VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is none of {', '.join(CHECK_VERDICTS)}")

    def to_json(self) -> dict[str, Scalar]:
        """Return a JSON object with the attributes."""
        return {"code": self.code, "observed": self.observed, "limit": self.limit, "verdict": self.verdict}


@dataclass(frozen=True, kw_only=True)
class SnapshotOf:
    """The snapshot of a store that a plan reads: its number and the digest of its content."""

    number: int
    content: str

    def to_json(self) -> dict[str, Scalar]:
        """Return a JSON object with the attributes."""
        return {"number": self.number, "content": self.content}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A released column, or a released code, with its kind, unit and tier in the dictionary.

    ``people``: members with a value; None where fewer than the threshold have one. ``low``, ``high``: of a number, the
    lowest and the highest value that are shown; None where no value is.
    """

    name: str
    kind: str
    unit: str = ""
    tier: str = ""
    scope: str = ""
    people: int | None = None
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> str:
        """Return the lowest and the highest value that are shown; "" where no value is."""
        return "" if self.low is None else f"{self.low:.10g} – {self.high:.10g}"

    def to_json(self) -> dict[str, Scalar]:
        """Return a JSON object with the attributes; ``low`` and ``high`` where a value is shown."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None or name not in ("low", "high")}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a release.

    Attributes:
        request: The keys of the request (``Request.to_json``).
        request_hash: SHA-256 of the request.
        snapshots: The snapshot of each store (``records``, ``cohort``) that the plan reads.
        dictionary_hash: SHA-256 of the dictionary in force.
        members: Number of members.
        members_hash: SHA-256 of the members and of the scopes that each has not granted.
        columns: The released columns and codes, sorted by name.
        counts: Numbers by name: rows, codes rolled up, values that were coded or set to missing, and others.
        small_cells: Codes held by fewer people than the threshold, and their fate: code -> target ("" if dropped).
        checks: The checks in their order.
        compared: The releases that the checks on members and linkage compared it with, sorted.
        recipient_key: SHA-256 (hex) of the key that a transfer is encrypted to; "" for every other tier.
        stored: The text of a plan that another version of baekman wrote; "" for one of this version.
    """

    request: Mapping[str, Any]
    request_hash: str
    snapshots: Mapping[str, SnapshotOf]
    dictionary_hash: str = ""
    members: int
    members_hash: str
    columns: tuple[Column, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    small_cells: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    compared: tuple[str, ...] = ()
    recipient_key: str = ""
    stored: str = ""

    @property
    def project(self) -> str:
        """Return the ID of the project."""
        return str(self.request["project"])

    @property
    def tier(self) -> str:
        """Return the tier."""
        return str(self.request["tier"])

    @property
    def recipient(self) -> str:
        """Return the name of the recipient of a transfer; "" for every other tier."""
        return str(self.request.get("recipient", {}).get("name", ""))

    @property
    def failures(self) -> tuple[Check, ...]:
        """Return the checks with which nothing is built."""
        return tuple(check for check in self.checks if check.verdict == "fail")

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "version": VERSION,
            "request": dict(self.request),
            "request_hash": self.request_hash,
            "snapshots": {name: snapshot.to_json() for name, snapshot in self.snapshots.items()},
            "dictionary_hash": self.dictionary_hash,
            "members": self.members,
            "members_hash": self.members_hash,
            "columns": [column.to_json() for column in self.columns],
            "counts": dict(self.counts),
            "small_cells": dict(self.small_cells),
            "checks": [check.to_json() for check in self.checks],
            **({"compared": list(self.compared)} if self.compared else {}),
            **({"recipient_key": self.recipient_key} if self.recipient_key else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """Return the plan that ``to_json`` wrote; of a plan of another version, what this version knows of it.

        KeyError, TypeError or ValueError where project, tier or members are not there.
        """
        snapshots, request = value.get("snapshots", {}), value["request"]
        _ = request["project"], request["tier"]
        return cls(
            request=request,
            request_hash=value.get("request_hash", ""),
            snapshots={name: SnapshotOf(**_known(SnapshotOf, snapshot)) for name, snapshot in snapshots.items()},
            dictionary_hash=value.get("dictionary_hash", ""),
            members=value["members"],
            members_hash=value["members_hash"],
            columns=tuple(Column(**_known(Column, column)) for column in value.get("columns", ())),
            counts=value.get("counts", {}),
            small_cells=value.get("small_cells", {}),
            checks=tuple(Check(**_known(Check, check)) for check in value.get("checks", ())),
            compared=tuple(value.get("compared", ())),
            recipient_key=value.get("recipient_key", ""),
        )

    @property
    def text(self) -> str:
        """Return the text of ``plan.json``: keys sorted, no time and no ID of the release in it."""
        if self.stored:
            return self.stored
        return json.dumps(self.to_json(), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def hash(self) -> str:
        """Return the SHA-256 (hex) of ``text``: what reviewers decide on."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def _known(part: type[SnapshotOf | Column | Check], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of ``value`` that this version knows of a ``part`` of a plan."""
    return {name: value[name] for name in part.__dataclass_fields__ if name in value}


def write_plan(home: Path, plan: Plan) -> None:
    """Write ``plan`` to ``plan.json`` in the folder of a release, with its SHA-256 next to it."""
    write_checked(home / PLAN_FILE, plan.text)


def read_plan(home: Path) -> Plan:
    """Return the plan of the release in the folder ``home``; one of another version has its text as ``stored``.

    Raises:
        InputRefused: There is none.
        DamagedFile: It is not what ``write_plan`` wrote, in this or another version.
    """
    path = home / PLAN_FILE
    try:
        text = read_checked(path)
        plan = Plan.from_json(json.loads(text))
    except FileNotFoundError:
        raise InputRefused(
            Problem(
                file="release",
                place=home.name,
                expected="a proposed release",
                found="none of this ID",
                action="run `baekman release propose REQUEST`, which prints the ID",
            )
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedFile(path) from None
    if plan.text == text:
        return plan
    if not sidecar_path(path).is_file():  # nothing says that it is as it was written
        raise DamagedFile(path)
    return replace(plan, stored=text)
