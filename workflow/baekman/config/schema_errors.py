"""Faults that a JSON Schema of the package finds in settings, thresholds or deliveries, in the words of a message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from baekman import data

KINDS = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_WORDING = {
    "minimum": "a number of at least {}",
    "maximum": "a number of at most {}",
    "minItems": "a list of at least {}",
    "minLength": "a text that is not empty",
    "uniqueItems": "a list without repetition",
}
_MISSING_KEY = re.compile(r"'(.+)' is a required property")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A place where an instance breaks its schema. ``value`` and ``message`` may hold confidential text."""

    place: str  # the keys that lead to it, joined by dots; "" at the top
    rule: str  # the broken keyword of the schema
    asked: Any  # the keyword's value in the schema
    expected: str  # both in words
    value: Any  # what the instance has at this place
    keys: tuple[str, ...]  # the missing key of ``required``, the unknown keys of ``additionalProperties``
    known: tuple[str, ...]  # the keys that the schema names at this place
    message: str  # the library's own text, which quotes ``value``


@cache
def read_schema(name: str) -> dict[str, Any]:
    """Return the package's JSON Schema ``name`` (``config``, ``delivery``, ``manifest`` or ``qc_thresholds``)."""
    schema: dict[str, Any] = json.loads(data.text(f"schemas/{name}.schema.json"))
    return schema


def faults(schema: str, instance: object) -> list[Fault]:
    """Return every fault of ``instance`` against the package's ``schema``, by place."""
    errors = sorted(_validator(schema).iter_errors(_with_text_keys(instance)), key=lambda error: error.json_path)
    return [_fault(error) for error in errors]


def _with_text_keys(instance: object) -> object:
    """Return ``instance`` with texts for all keys, as JSON has them; a key in YAML may be a number."""
    if isinstance(instance, Mapping):
        return {str(key): _with_text_keys(value) for key, value in instance.items()}
    return [_with_text_keys(value) for value in instance] if isinstance(instance, list) else instance


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(read_schema(schema))


def _fault(error: ValidationError) -> Fault:
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    known = tuple(key for key in schema.get("properties", ()) if not key.startswith("$"))
    keys: tuple[str, ...] = ()
    if error.validator == "additionalProperties":
        keys = tuple(sorted(_unknown(error.instance, schema)))
    elif missing := _MISSING_KEY.fullmatch(error.message):
        keys = (missing[1],)  # the library reports each missing key in an error of its own
    return Fault(
        place=".".join(map(str, error.absolute_path)),
        rule=str(error.validator),
        asked=error.validator_value,
        expected=_expected(error, schema, keys=keys, known=known),
        value=error.instance,
        keys=keys,
        known=known,
        message=error.message,
    )


def _unknown(instance: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Generate the keys of ``instance`` that ``schema`` names neither in full nor by a pattern."""
    patterns = schema.get("patternProperties", ())
    for key in instance.keys() - schema["properties"].keys():
        if not any(re.search(pattern, key) for pattern in patterns):
            yield key


def _expected(
    error: ValidationError, schema: Mapping[str, Any], *, keys: tuple[str, ...], known: tuple[str, ...]
) -> str:
    """Return the demand of the broken rule in words; a ``$comment`` of the schema replaces the general ones."""
    asked = error.validator_value
    if error.validator == "required":
        return "the key " + ", ".join(keys)
    if error.validator == "additionalProperties":
        return "one of the keys " + ", ".join(known)
    if error.validator == "type":
        return " or ".join(KINDS[kind] for kind in ([asked] if isinstance(asked, str) else asked))
    if "$comment" in schema:
        return str(schema["$comment"])
    if error.validator == "enum":
        return "one of " + ", ".join(map(str, asked))
    wording = _WORDING.get(str(error.validator))
    return wording.format(asked) if wording else error.message
