"""The request of a release: participants, codes and regions that a researcher asks for (``request.yaml``)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from baekman import pseudonyms
from baekman.config.schema_errors import Fault, faults
from baekman.errors import InputRefused, Problem
from baekman.releases.transfer.recipient import Recipient, key_problem, parse_public_key

Tier = Literal["open", "low_risk", "room", "transfer"]
TIERS: tuple[Tier, ...] = get_args(Tier)
# Released to people outside the room: the members of two such releases may be compared by anyone.
PUBLIC_TIERS: frozenset[str] = frozenset({"open", "low_risk"})
THRESHOLD = 11  # people
BIRTH_YEARS = 5
_ID = re.compile(pseudonyms.PATTERN)
PAGE = "docs/releases.md shows every key"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A checked request.

    Attributes:
        project: ID of the project (``J…``).
        tier: A tier of ``TIERS``.
        who: One SELECT over the views of records and cohort that returns ``participant_id``.
        why: The reason in the researcher's words.
        codes: Codes ``SYSTEM/CODE`` and patterns ``SYSTEM/*``, sorted.
        regions: ``contig`` or ``contig:start-end`` (1-based, both ends included), in the order of the request.
        genotypes: ``carriers`` or ``dense``.
        pgen: Whether the joint genotypes are also there as pgen; with ``dense`` alone.
        records_snapshot: Number of the snapshot of the records; None for the latest.
        cohort_snapshot: Number of the snapshot of the cohort; None for the latest.
        threshold: The fewest people that a code, an extreme value or a row of ``low_risk`` stands for.
        birth_years: Width of the bands of birth years.
        bounds: Number code -> lowest and highest value that are shown; counted for a code that is not here.
        shape: ``tables`` or ``meds``.
        recipient: The recipient of a ``transfer``; None for every other tier.
        below_qc: ``refuse`` or ``leave_out`` (the genotypes) where sequencing does not pass today's thresholds.
    """

    project: str
    tier: Tier
    who: str
    why: str = ""
    codes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    genotypes: Literal["carriers", "dense"] = "carriers"
    records_snapshot: int | None = None
    cohort_snapshot: int | None = None
    threshold: int = THRESHOLD
    birth_years: int = BIRTH_YEARS
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    shape: Literal["tables", "meds"] = "tables"
    below_qc: Literal["refuse", "leave_out"] = "refuse"
    recipient: Recipient | None = None
    pgen: bool = False

    @property
    def is_public(self) -> bool:
        """Return whether the release may be read outside the room by anyone."""
        return self.tier in PUBLIC_TIERS

    def to_json(self) -> dict[str, Any]:
        """Return the keys of ``request.yaml``, every default filled in."""
        snapshots = {"records": self.records_snapshot, "cohort": self.cohort_snapshot}
        return {
            "project": self.project,
            "tier": self.tier,
            "who": self.who,
            "why": self.why,
            "codes": list(self.codes),
            "regions": list(self.regions),
            "genotypes": self.genotypes,
            **({"pgen": True} if self.pgen else {}),
            "snapshots": {name: number for name, number in snapshots.items() if number is not None},
            "generalise": {
                "threshold": self.threshold,
                "birth_years": self.birth_years,
                **({"bounds": {code: list(ends) for code, ends in self.bounds.items()}} if self.bounds else {}),
            },
            "shape": self.shape,
            "below_qc": self.below_qc,
            **({"recipient": self.recipient.to_json()} if self.recipient else {}),
        }

    @property
    def hash(self) -> str:
        """Return the SHA-256 (hex) of the request: equal for requests that ask for the same."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def to_yaml(self) -> str:
        """Return the text of a ``request.yaml``, every default filled in."""
        text: str = yaml.safe_dump(self.to_json(), sort_keys=False, allow_unicode=True)
        return text


def read_request(path: Path) -> Request:
    """Return the request in the YAML file ``path``; raise InputRefused with every fault at once."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputRefused(
            Problem(file=path.name, expected="a request in YAML", found="no file that can be read", action=PAGE)
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputRefused(Problem(file=path.name, place=place, expected="YAML", found="something else")) from None
    if not isinstance(content, dict):
        raise InputRefused(
            Problem(file=path.name, expected="a mapping `key: value`", found="something else", action=PAGE)
        )
    return parse_request(content, source=path.name)


def parse_request(content: Mapping[str, Any], *, source: str) -> Request:
    """Return the request of the mapping ``content``; raise InputRefused with every fault at once.

    Messages call the file ``source``.
    """
    problems = [_problem(fault, source) for fault in faults("request", dict(content))]
    regions = content.get("regions") or []
    if isinstance(regions, str):
        parsed = list(_bed_regions(regions, source))
        problems += [problem for problem in parsed if isinstance(problem, Problem)]
        regions = [region for region in parsed if isinstance(region, str)]
    if not problems:
        problems = list(_contradictions(content, regions=bool(regions), source=source))
    if problems:
        raise InputRefused(problems)
    snapshots, generalise = content.get("snapshots") or {}, content.get("generalise") or {}
    return Request(
        project=content["project"],
        tier=content["tier"],
        who=content["who"].strip().removesuffix(";").rstrip(),
        why=content.get("why", "").strip(),
        codes=tuple(sorted(content.get("codes") or ())),
        regions=tuple(regions),
        genotypes=content.get("genotypes", "carriers"),
        records_snapshot=snapshots.get("records"),
        cohort_snapshot=snapshots.get("cohort"),
        threshold=generalise.get("threshold", THRESHOLD),
        birth_years=generalise.get("birth_years", BIRTH_YEARS),
        bounds={code: (float(low), float(high)) for code, (low, high) in sorted(_bounds(content).items())},
        shape=content.get("shape", "tables"),
        below_qc=content.get("below_qc", "refuse"),
        recipient=_recipient(content),
        pgen=content.get("pgen", False),
    )


def _bounds(content: Mapping[str, Any]) -> Mapping[str, tuple[float, float]]:
    bounds: Mapping[str, tuple[float, float]] = (content.get("generalise") or {}).get("bounds") or {}
    return bounds


def _recipient(content: Mapping[str, Any]) -> Recipient | None:
    asked = content.get("recipient")
    key = parse_public_key(asked["public_key"]) if asked else None
    return Recipient(name=asked["name"].strip(), key=key) if asked and key else None


def _contradictions(content: Mapping[str, Any], *, regions: bool, source: str) -> Iterator[Problem]:
    """Yield the problems of a request in which each key alone is right."""
    if pseudonyms.check_character(content["project"][:-1]) != content["project"][-1]:
        yield Problem(
            file=source,
            place="project",
            expected="a project's ID with its check character",
            found="a wrong check character",
            action="copy it again from `baekman project show`",
        )
    recipient = content.get("recipient") or {}
    texts = {"who": content["who"], "why": content.get("why", ""), "recipient.name": recipient.get("name", "")}
    for key, text in texts.items():
        if any(map(pseudonyms.is_valid, _ID.findall(text))):
            yield Problem(
                file=source,
                place=key,
                expected="no ID: reviewers read this text, and a condition holds for later data too",
                found="an ID of a participant, specimen or delivery",
                action="choose people by their data",
            )
    tier = content["tier"]
    if regions and tier in PUBLIC_TIERS:
        yield Problem(
            file=source,
            place="regions",
            expected=f"no regions in the tier {tier}, which has no genotypes",
            found="regions",
            action="leave them out, or ask for the tier room",
        )
    if tier in PUBLIC_TIERS and content.get("shape", "tables") != "tables":
        yield Problem(
            file=source,
            place="shape",
            expected=f"tables in the tier {tier}",
            found=content["shape"],
            action="leave it out, or ask for the tier room",
        )
    if content.get("pgen") and (not regions or content.get("genotypes") != "dense"):
        yield Problem(
            file=source,
            place="pgen",
            expected="regions and `genotypes: dense`, as a file of plink2 has a value for each member",
            found="carriers" if regions else "no regions",
            action="leave it out, or ask for dense genotypes",
        )
    for code, (low, high) in _bounds(content).items():
        if not low <= high:  # nor is NaN in an order
            yield Problem(
                file=source,
                place=f"generalise.bounds.{code}",
                expected="the lowest value, then the highest",
                found=f"{low} before {high}",
            )
    yield from _recipient_problems(tier, recipient, source=source)
    if not regions and not content.get("codes"):
        yield Problem(
            file=source, place="codes", expected="codes or regions", found="neither", action="name what is needed"
        )


def _recipient_problems(tier: str, recipient: Mapping[str, str], *, source: str) -> Iterator[Problem]:
    """Yield the problems of the recipient, which a transfer has and no other tier."""
    if tier == "transfer" and not recipient:
        yield Problem(
            file=source,
            place="recipient",
            expected="the recipient of the transfer: name and public_key",
            found="none",
            action=PAGE,
        )
    elif tier != "transfer" and recipient:
        yield Problem(
            file=source,
            place="recipient",
            expected=f"no recipient in the tier {tier}, which is not encrypted to anyone",
            found="a recipient",
            action="leave it out, or ask for the tier transfer",
        )
    elif recipient and (problem := key_problem(recipient["public_key"], source=source)):
        yield problem


def _bed_regions(text: str, source: str) -> Iterator[str | Problem]:
    """Yield a region, or a problem, for each line of a BED file (0-based starts, ends not included)."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split()
        if len(fields) >= 3 and fields[1].isdecimal() and fields[2].isdecimal() and int(fields[1]) < int(fields[2]):
            yield f"{fields[0]}:{int(fields[1]) + 1}-{int(fields[2])}"
        elif len(fields) == 1:  # a region as a person writes it
            yield fields[0]
        else:
            yield Problem(
                file=source,
                place=f"regions, line {number}",
                expected="a contig, a start from 0 and an end after it, as in a BED file",
                found=f"{len(fields)} fields" if len(fields) < 3 else "other values",
                action="correct the line",
            )


def _problem(fault: Fault, source: str) -> Problem:
    """Return the line that reports a fault of ``source``; it quotes no text of the request but unknown keys."""
    place = fault.place or "top level"
    if fault.rule == "additionalProperties":
        return Problem(file=source, place=place, expected=fault.expected, found=", ".join(fault.keys), action=PAGE)
    if fault.rule == "required":
        return Problem(file=source, place=place, expected=fault.expected, found="none", action=PAGE)
    found = str(fault.value) if isinstance(fault.value, int | float) else "something else"
    return Problem(file=source, place=place, expected=fault.expected, found=found, action=PAGE)
