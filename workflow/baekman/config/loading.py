"""The configuration: science settings of a workspace, defaults filled in, checked against their schema."""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from baekman import data
from baekman.errors import InputRefused, Problem

PROJECT_FILE = data.user_file("config.yaml")
THRESHOLDS_FILE = data.user_file("qc_thresholds.yaml")
SCHEMA = "schemas/config.schema.json"
FASTA_ENDINGS = (".gz", ".bgz", ".fasta", ".fa", ".fna")

# settings that hold a path; relative ones are meant from the configuration file's folder
PATHS = ("reference", "qc_thresholds", "contamination_sites", "par_regions", "shards")


def config_file(workspace: Path, file: Path | None = None) -> Path:
    """The configuration file in force: ``file``, else the workspace's, else the project's."""
    if file is not None:
        return file
    of_workspace = workspace / "config.yaml"
    return of_workspace if of_workspace.is_file() else PROJECT_FILE


def load_config(
    workspace: Path, file: Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of ``workspace``: read, overlaid with ``overrides``, filled with defaults, checked.

    Precedence: ``overrides`` (relative paths in them are meant from the current folder), then ``file``,
    then ``<workspace>/config.yaml``, then ``<project>/config/config.yaml``. Paths come out absolute.
    Raises ``InputRefused`` with every fault at once.
    """
    path = config_file(workspace, file)
    settings = _absolute(_read(path), folder=path.parent.resolve())
    overlay = _absolute(dict(overrides or {}), folder=Path.cwd())
    merged = _merge(settings, overlay)
    if path == PROJECT_FILE and not Path(str(merged.get("reference"))).is_file():
        raise InputRefused(
            Problem(
                file="config.yaml",
                expected="a configuration in the workspace, or one given by --config",
                found="none",
                action="write `reference: PATH` into config.yaml of the workspace, or correct --workspace",
            )
        )
    return complete(merged, source=path.name)


def complete(settings: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """``settings`` with every default of the schema, checked; ``source`` names them in errors."""
    schema = _schema()
    reasons = [_reason(error, source) for error in _errors(schema, settings)]
    if reasons:
        raise InputRefused(reasons)
    filled = _with_defaults(settings, schema)
    filled["qc_thresholds"] = filled["qc_thresholds"] or str(THRESHOLDS_FILE)
    filled["reference_name"] = filled["reference_name"] or reference_name(Path(filled["reference"]))
    reasons = [
        Problem(
            file=source,
            place=key,
            expected="a file that exists",
            found=f"no file {filled[key]}",
            action="correct the path (a relative one is meant from the configuration file's folder)",
        )
        for key in PATHS
        if filled[key] is not None and not Path(filled[key]).is_file()
    ]
    if reasons:
        raise InputRefused(reasons)
    return filled


def reference_name(reference: Path) -> str:
    """The name of a reference: its file name without the endings of a FASTA file."""
    name = reference.name
    for ending in FASTA_ENDINGS:
        name = name.removesuffix(ending)
    return name


def config_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of the settings, the same whatever order they were written in."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file ``path``."""
    if not path.is_file():
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a configuration file",
                found="no such file",
                action="write one (`reference: PATH` is enough to begin with)",
            )
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(fault, "problem", None) or "bytes that are not UTF-8"
        raise InputRefused(Problem(file=path.name, place=place, expected="YAML", found=problem)) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputRefused(Problem(file=path.name, expected="settings as `key: value`", found=f"a {_kind(content)}"))
    return content


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(data.text(SCHEMA))
    return schema


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` with the values of ``above`` on top, nested mappings merged."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both_nested = isinstance(value, Mapping) and isinstance(under, Mapping)
        merged[key] = _merge(under, value) if both_nested else value  # type: ignore[arg-type]
    return merged


def _absolute(settings: dict[str, Any], *, folder: Path) -> dict[str, Any]:
    """``settings`` with their paths made absolute from ``folder``."""
    return {
        key: str(folder / Path(value).expanduser()) if key in PATHS and isinstance(value, str) else value
        for key, value in settings.items()
    }


def _with_defaults(settings: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with the schema's defaults where a key is absent, sorted as in the schema."""
    filled: dict[str, Any] = {}
    for key, rule in schema["properties"].items():
        if key.startswith("$"):
            continue
        value = settings[key] if key in settings else copy.deepcopy(rule.get("default"))
        filled[key] = _with_defaults(value, rule) if "properties" in rule else value
    return filled


def _errors(schema: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Every fault of ``settings``, one per unknown key or wrong value, by place."""
    validator = Draft202012Validator(schema)
    yield from sorted(validator.iter_errors(settings), key=lambda error: error.json_path)


def _reason(error: ValidationError, source: str) -> Problem:
    """What is wrong, as key, expected and found."""
    place = ".".join(str(step) for step in error.absolute_path)
    rule = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        unknown = sorted(set(error.instance) - set(rule["properties"]))
        known = [key for key in rule["properties"] if not key.startswith("$")]
        near = [match for key in unknown for match in difflib.get_close_matches(str(key), known, n=1)]
        return Problem(
            file=source,
            place=place or "top level",
            expected="one of the keys " + ", ".join(known),
            found=", ".join(map(str, unknown)),
            action=f"did you mean {', '.join(near)}?" if near else "see config/README.md",
        )
    if error.validator == "required":
        missing = sorted(set(rule["required"]) - set(error.instance))
        return Problem(
            file=source,
            place=place or "top level",
            expected="the key " + ", ".join(missing),
            found="none",
            action="see config/README.md",
        )
    return Problem(file=source, place=place, expected=_expected(error), found=_found(error.instance), action="")


def _expected(error: ValidationError) -> str:
    """What the schema asks for at the place of ``error``."""
    value = error.validator_value
    wording = {
        "minimum": f"a number of at least {value}",
        "maximum": f"a number of at most {value}",
        "minLength": "a text that is not empty",
        "pattern": "letters, digits and . _ -",
        "minItems": f"a list of at least {value}",
        "uniqueItems": "a list without repetition",
    }
    if error.validator == "enum":
        return "one of " + ", ".join(map(str, value))
    if error.validator == "type":
        kinds = [value] if isinstance(value, str) else value
        return " or ".join(_KINDS[kind] for kind in kinds)
    return wording.get(str(error.validator), str(error.message))


_KINDS = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def _kind(value: object) -> str:
    """The name of a YAML value's kind."""
    if isinstance(value, bool):
        return "truth value"
    return {str: "text", int: "integer", float: "number", list: "list", dict: "mapping"}.get(
        type(value), "null" if value is None else type(value).__name__
    )


def _found(value: object) -> str:
    """A configuration value as a message shows it (none of them is confidential)."""
    if isinstance(value, str | int | float | bool):
        return f"{value!r}" if isinstance(value, str) else str(value).lower()
    return f"a {_kind(value)}"
