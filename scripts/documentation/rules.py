"""The table of the rules with their jobs and resources, made of rules/ and profiles/default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from documentation.markdown import code, table

PROJECT = Path(__file__).resolve().parents[2]
STAGES = ("intake", "align", "qc", "call", "cohort", "tables", "report", "release")
_RULE = re.compile(r"^(?:rule|checkpoint) (\w+):\n((?:    .*\n|\n)+)", re.MULTILINE)
_NEVER_RUNS = "staged_file"
_TIME = re.compile(r" \* 2 \*\* \(attempt - 1\)")  # what a second try gets


class Rule(NamedTuple):
    """A rule that runs a program: its stage, name, first sentence of its docstring, its wildcards and threads."""

    stage: str
    name: str
    text: str
    wildcards: tuple[str, ...]
    threads: int


def rules() -> Iterator[Rule]:
    """Yield each rule that runs a program, in the order of the stages."""
    for stage in STAGES:
        for name, body in _RULE.findall((PROJECT / "rules" / f"{stage}.smk").read_text(encoding="utf-8")):
            if "    shell:" not in body or name == _NEVER_RUNS:
                continue
            text = re.search(r'"""(.*?)"""', body, re.DOTALL)
            log = body.split("    log:", 1)[1].split("    benchmark:", 1)[0]
            wildcards = re.findall(r"\{(\w+)", log)
            threads = re.search(r"^    threads: (\d+)", body, re.MULTILINE)
            yield Rule(
                stage, name, _sentence(text[1] if text else ""), tuple(wildcards), int(threads[1]) if threads else 1
            )


def resources() -> Iterator[tuple[Rule, int, int, int]]:
    """Yield each rule with the threads, memory (MB) and time (minutes) of its first try under profiles/default."""
    profile: dict[str, Any] = yaml.safe_load((PROJECT / "profiles" / "default" / "config.yaml").read_text())
    for rule in rules():
        wanted = profile["default-resources"] | profile["set-resources"].get(rule.name, {})
        memory, minutes = (int(_TIME.sub("", str(wanted[key]))) for key in ("mem_mb", "runtime"))
        yield rule, profile["set-threads"].get(rule.name, rule.threads), memory, minutes


def regions() -> dict[str, str]:
    """Return the table of the rules, under the name of its region."""
    rows = [
        (rule.stage, code(rule.name), rule.text, _unit(rule), str(threads), f"{memory / 1000:g}", f"{minutes / 60:g}")
        for rule, threads, memory, minutes in resources()
    ]
    return {"rules": table(["Stage", "Rule", "Does", "One job per", "Threads", "GB", "Hours"], rows)}


def _sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].rstrip(".")


def _unit(rule: Rule) -> str:
    """Return for what a job runs, by the names in the path of its log."""
    if "scatteritem" in rule.wildcards:
        return "piece of a participant"
    if rule.wildcards:
        return rule.wildcards[-1]
    return "release" if rule.stage == "release" else "workspace"
