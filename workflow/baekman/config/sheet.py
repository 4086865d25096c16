"""Sheets that a person writes in YAML: their faults are described, and no value of them is quoted."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Any

import yaml

from baekman.config.schema_errors import Fault, faults
from baekman.errors import Problem

YAML_LINES = "`key: value` lines of YAML"
SAVE_AS_UTF8 = "save it as UTF-8 (not UTF-16, EUC-KR or CP949)"


def decode(content: bytes, *, file: str, problems: list[Problem]) -> str | None:
    """Return ``content`` as text without NUL; otherwise append a problem with its line and return None."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problems.append(Problem(file=file, expected="UTF-8 text", found="UTF-16", action=SAVE_AS_UTF8))
        return None
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        problems.append(Problem(file=file, place=f"line {line}", expected="text", found="a NUL byte"))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        place = f"line {line}"
        problems.append(
            Problem(file=file, place=place, expected="UTF-8 text", found="other bytes", action=SAVE_AS_UTF8)
        )
        return None


def describe(value: object) -> str:
    """Return a description of a confidential ``value`` that does not quote it."""
    if isinstance(value, str):
        if not value:
            return "an empty text"
        categories = {unicodedata.category(character) for character in value}
        # such as marks that turn the direction of writing, and so show another name
        hidden = "with an invisible character" if categories & {"Cf", "Zl", "Zp"} else "of another form"
        kind = "with a control character" if "Cc" in categories else hidden
        return f"{len(value)} characters {kind}"
    if isinstance(value, bool):
        return "true or false"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "nothing"


def read_sheet(content: bytes, *, file: str, problems: list[Problem], booleans: bool = False) -> dict[str, Any] | None:
    """Return the mapping in ``content``; otherwise append a problem and return None.

    Scalars stay texts (``20260101`` is no number). With ``booleans`` only ``true`` and ``false`` are none. Aliases,
    tags and repeated keys are refused.
    """
    text = decode(content, file=file, problems=problems)
    if text is None:
        return None
    try:
        loaded = yaml.load(text, Loader=_BooleanLoader if booleans else _TextLoader)
    except (yaml.YAMLError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        found = str(fault.problem) if isinstance(fault, _RefusedNode) else "something else"
        problems.append(Problem(file=file, place=place, expected=YAML_LINES, found=found))
        return None
    if not isinstance(loaded, dict):
        problems.append(Problem(file=file, expected=YAML_LINES, found=describe(loaded)))
        return None
    return loaded


def schema_problems(sheet: object, *, schema: str, file: str) -> list[Problem]:
    """Return a problem for each fault of ``sheet`` against the package's ``schema``."""
    return [sheet_problem(fault, file=file) for fault in faults(schema, sheet)]


def sheet_problem(fault: Fault, *, file: str) -> Problem:
    """Return the line that reports ``fault`` of a sheet."""
    found = "none" if fault.rule == "required" else describe(fault.value)
    if fault.rule == "additionalProperties":
        found = "another key" if len(fault.keys) == 1 else f"{len(fault.keys)} other keys"
    return Problem(file=file, place=fault.place, expected=fault.expected, found=found)


class _RefusedNode(yaml.MarkedYAMLError):  # type: ignore[misc]
    """A part of YAML that no sheet needs; ``problem`` is its kind and has no value of the sheet."""


class _TextLoader(yaml.SafeLoader):  # type: ignore[misc]
    """A YAML loader that keeps scalars as text, and refuses aliases, tags and repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedNode(problem="an alias", problem_mark=event.start_mark)
        if event.tag is not None:
            raise _RefusedNode(problem="a tag", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _RefusedNode(problem="half of a character", problem_mark=node.start_mark)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                # the last one would win, and nobody knows which of them is meant
                raise _RefusedNode(problem="a key a second time", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


class _BooleanLoader(_TextLoader):
    """A ``_TextLoader`` that knows ``true`` and ``false``."""


_TextLoader.yaml_implicit_resolvers = {}
_BooleanLoader.yaml_implicit_resolvers = {
    first: [("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"))] for first in "tf"
}
