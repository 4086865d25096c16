"""The page of the commands, from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from baekman.cli import app
from baekman.cli.shared import groups
from documentation.markdown import code, table

_EXAMPLE = re.compile(r"^Example: (.*)", re.MULTILINE | re.DOTALL)
# for rules of the workflow
HIDDEN = ("step",)


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the words and the command of each command of ``baekman`` that a person types; those of a word first."""
    groups.register(app)
    yield from sorted(_below(typer.main.get_command(app), ()), key=lambda each: " " in each[0])


def _below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden or name in HIDDEN:
            continue
        if hasattr(command, "commands"):
            yield from _below(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def _value(parameter: Any) -> str:
    """Return the kind of a parameter's value; "" for a flag."""
    if getattr(parameter, "is_flag", False):
        return ""
    if parameter.metavar:
        return str(parameter.metavar)
    choices = getattr(parameter.type, "choices", None)
    if choices:
        return " ".join(code(str(getattr(choice, "value", choice))) for choice in choices)
    kind = type(parameter.type).__name__.lower()
    return "number" if "int" in kind or "float" in kind else "path" if "path" in kind else "text"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    value = parameter.default
    parts = [code(name) for name in ([parameter.envvar] if isinstance(parameter.envvar, str) else [])]
    if isinstance(shown := getattr(parameter, "show_default", None), str):  # the value differs between machines
        parts.append(shown)
    elif value not in (None, "", False, ()) and not callable(value):
        parts.append("the current folder" if value == Path() or str(value) == "." else code(str(value)))
    return ", else ".join(parts)


def _usage(words: str, command: Any) -> str:
    arguments = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = (parameter.metavar or parameter.name).upper()
            many = "…" if parameter.nargs == -1 or getattr(parameter, "multiple", False) else ""
            arguments.append(f"{name}{many}" if parameter.required else f"[{name}{many}]")
    return " ".join(["baekman", words, *arguments, "[OPTIONS]"])


def _section(words: str, command: Any) -> str:
    text = command.help or ""
    example = _EXAMPLE.search(text)
    prose = _EXAMPLE.sub("", text).strip()
    lines = [f"## baekman {words}\n", f"```text\n{_usage(words, command)}\n```\n", prose, ""]
    rows = []
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        name = (parameter.metavar or parameter.name).upper() if is_argument else ", ".join(parameter.opts)
        rows.append((code(name), _value(parameter), _default(parameter), " ".join((parameter.help or "").split())))
    if rows:
        lines.append(table(["Option", "Value", "Default", "Meaning"], rows))
    if example:
        lines.append(f"```sh\n{example[1].strip()}\n```\n")
    return "\n".join(lines)


def commands_page() -> str:
    """Return the page of the commands."""
    listed = list(commands())
    index = table(
        ["Command", "What it does"],
        [
            (f"[`baekman {words}`](#baekman-{words.replace(' ', '-')})", (command.help or "").strip().split("\n\n")[0])
            for words, command in listed
        ],
    )
    parts = [
        "# Commands\n",
        "`baekman COMMAND --help` prints the same. Results go to stdout, notes and progress to stderr.\n"
        "[Exit codes](reasons.md#exit-codes) are those of every command.\n",
        index,
        *(_section(words, command) for words, command in listed),
    ]
    return "\n".join(parts)
