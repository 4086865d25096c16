"""The configuration: the science settings of a workspace, checked and filled with defaults."""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from baekman import data
from baekman.config.schema_errors import Fault, faults, read_schema
from baekman.errors import InputRefused, Problem

PROJECT_FILE = data.user_file("config.yaml")
THRESHOLDS_FILE = data.user_file("qc_thresholds.yaml")
FASTA_ENDINGS = (".gz", ".bgz", ".fasta", ".fa", ".fna")

# settings that hold a path, alone or within a group; a relative one starts at the configuration file's folder
PATHS = ("reference", "qc_thresholds", "contamination_sites", "par_regions", "target_regions", "shards")
PATHS_IN = {"annotate": ("genes", "rsids", "clinvar")}


def config_file(workspace: Path, *, file: Path | None = None) -> Path:
    """Return the configuration file in force: ``file``, else the workspace's, else the project's."""
    if file is not None:
        return file
    of_workspace = workspace / "config.yaml"
    return of_workspace if of_workspace.is_file() else PROJECT_FILE


def load_config(
    workspace: Path, *, file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read the settings of ``workspace``, check them and fill in the defaults.

    Precedence: ``overrides``, then one file: ``file``, else ``<workspace>/config.yaml``, else
    ``<project>/config/config.yaml``. Relative paths start at the file's folder, in ``overrides`` at the current folder;
    the returned ones are absolute. Raises ``InputRefused`` with every fault at once.
    """
    path = config_file(workspace, file=file)
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
    """Return ``settings`` with every default of the schema.

    Messages call their file ``source``. Raises ``InputRefused`` with every fault at once.
    """
    problems = [_problem(fault, source) for fault in faults("config", settings)]
    if problems:
        raise InputRefused(problems)
    filled = _with_defaults(settings, read_schema("config"))
    filled["qc_thresholds"] = filled["qc_thresholds"] or str(THRESHOLDS_FILE)
    filled["reference_name"] = filled["reference_name"] or reference_name(Path(filled["reference"]))
    problems = [
        Problem(
            file=source,
            place=key,
            expected="a file that exists",
            found=f"no file {path}",
            action="correct the path (a relative one is meant from the configuration file's folder)",
        )
        for key, path in _paths(filled)
        if path is not None and not Path(path).is_file()
    ]
    if problems:
        raise InputRefused(problems)
    return filled


def reference_name(reference: Path) -> str:
    """Return the name of a reference: its file name without the endings of a FASTA file."""
    name = reference.name
    for ending in FASTA_ENDINGS:
        name = name.removesuffix(ending)
    return name


def config_hash(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of ``settings`` in hex; the order of keys does not change it."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """Read the mapping in the YAML file ``path``."""
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
        problem = (getattr(fault, "problem", None) or "bytes that are not UTF-8").removeprefix("found ")
        raise InputRefused(Problem(file=path.name, place=place, expected="YAML", found=problem)) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputRefused(Problem(file=path.name, expected="settings as `key: value`", found=f"a {_kind(content)}"))
    return content


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``below`` with the values of ``above`` on top; nested mappings are merged."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        both_nested = isinstance(value, Mapping) and isinstance(lower, Mapping)
        merged[key] = _merge(lower, value) if both_nested else value  # type: ignore[arg-type]
    return merged


def _paths(settings: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield each setting that holds a path, by its dotted key; the ``settings`` are complete."""
    yield from ((key, settings[key]) for key in PATHS)
    yield from ((f"{group}.{key}", settings[group][key]) for group, keys in PATHS_IN.items() for key in keys)


def _absolute(settings: dict[str, Any], *, folder: Path, paths: Collection[str] = PATHS) -> dict[str, Any]:
    """Return ``settings`` with absolute paths; relative ones start at ``folder``."""
    absolute = dict(settings)
    for key, value in settings.items():
        if key in paths and isinstance(value, str):
            absolute[key] = str(folder / Path(value).expanduser())
        elif key in PATHS_IN and paths is PATHS and isinstance(value, Mapping):
            absolute[key] = _absolute(dict(value), folder=folder, paths=PATHS_IN[key])
    return absolute


def _with_defaults(settings: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings`` with the schema's defaults for absent keys, in the order of the schema."""
    filled: dict[str, Any] = {}
    for key, rule in schema["properties"].items():
        if key.startswith("$"):
            continue
        value = settings[key] if key in settings else copy.deepcopy(rule.get("default"))
        filled[key] = _with_defaults(value, rule) if "properties" in rule else value
    return filled


def _problem(fault: Fault, source: str) -> Problem:
    """Return the line that reports ``fault`` of the configuration file ``source``."""
    if fault.rule == "additionalProperties":
        near = [match for key in fault.keys for match in difflib.get_close_matches(key, fault.known, n=1)]
        return Problem(
            file=source,
            place=fault.place or "top level",
            expected=fault.expected,
            found=", ".join(fault.keys),
            action=f"did you mean {', '.join(near)}?" if near else "see config/README.md",
        )
    if fault.rule == "required":
        place = fault.place or "top level"
        return Problem(file=source, place=place, expected=fault.expected, found="none", action="see config/README.md")
    near = difflib.get_close_matches(str(fault.value), fault.expected.removeprefix("one of ").split(", "), n=1)
    action = f"did you mean {near[0]}?" if near and fault.rule == "enum" else ""
    return Problem(file=source, place=fault.place, expected=fault.expected, found=_found(fault.value), action=action)


def _kind(value: object) -> str:
    """Return the name of a YAML value's kind."""
    if isinstance(value, bool):
        return "truth value"
    return {str: "text", int: "integer", float: "number", list: "list", dict: "mapping"}.get(
        type(value), "null" if value is None else type(value).__name__
    )


def _found(value: object) -> str:
    """Return a configuration value as a message shows it; none of them is confidential."""
    if isinstance(value, str | int | float | bool):
        return f"{value!r}" if isinstance(value, str) else str(value).lower()
    return f"a {_kind(value)}"
