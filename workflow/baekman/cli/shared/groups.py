"""The groups of commands with their names; each is imported only when a command needs it."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

from baekman.pseudonyms import is_valid

# module, and the name it is mounted under ("" adds its commands to the top level)
GROUPS = (
    ("baekman.cli.cohort", "cohort"),
    ("baekman.cli.registry", "registry"),
    ("baekman.cli.records", "records"),
    ("baekman.cli.audit", "audit"),
    ("baekman.cli.restore", "restore"),
    ("baekman.cli.table_keys", "table-keys"),
    ("baekman.cli.hold", "hold"),
    ("baekman.cli.project", "project"),
    ("baekman.cli.release", "release"),
    ("baekman.cli.delivery", ""),
    ("baekman.cli.workflow", ""),
    ("baekman.cli.overview", ""),
    ("baekman.cli.reading", ""),
    ("baekman.cli.privacy", ""),
    ("baekman.cli.shared.completion", ""),
    ("baekman.cli.step", "step"),
)


# The commands of `baekman --help` under heads, in the order of use; a command of no head stands under the last one.
HEADS = {
    "Daily work": ("deliver", "watch", "receive", "status", "hold", "return-report", "doctor"),
    "Cohort": ("cohort", "tables", "verify", "restore"),
    "Results": ("query", "export"),
    "Research": ("project", "release", "records"),
    "Privacy": ("registry", "withdraw", "leakscan", "audit", "table-keys"),
    "Plumbing": ("completion", "step"),
}


# words of other programs -> the words to type; a specimen's ID needs a command before it
ELSEWHERE = {"help": "--help", "version": "--version", "logs": "status", "log": "status", "list": "status"}
ELSEWHERE |= {"resume": "deliver", "retry": "deliver", "run": "deliver"}


# options of commands that people put in front of the command
OF_COMMANDS = ("--workspace", "--cohort", "--json", "--quiet", "-q", "--workers", "--cores", "--config", "--purpose")


class Commands(TyperGroup):
    """A group that has no options but those that all programs have."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words in front of the command; an option of the command is refused with its place."""
        try:
            return list(super().parse_args(ctx, args))
        except Exception as error:
            if (option := getattr(error, "option_name", "")) in OF_COMMANDS:
                error.possibilities = []  # type: ignore[attr-defined]
                error.message = f"No such option: {option}. Put it after the command"  # type: ignore[attr-defined]
            raise


class Group(Commands):
    """A group of commands, which names them where a word is none of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the line names; for another word the refusal lists the commands."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if (message := getattr(error, "message", "")) and "Did you mean" not in message:
                is_specimen = is_valid(args[0], "S") and "show" in self.list_commands(ctx)
                hint = f"Did you mean `{ctx.command_path} show {args[0]}`?" if is_specimen else ""
                listed = hint or f"Commands: {', '.join(self.list_commands(ctx))}"
                error.message = f"{message} {listed}"  # type: ignore[attr-defined]
            raise


class Root(Commands):
    """The group of all commands, which lists them under heads."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the line names; one that is in groups only is refused with the words to type."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if message := getattr(error, "message", ""):
                commands = {group: self.get_command(ctx, group) for group in self.list_commands(ctx) if group != "step"}
                groups = [group for group, command in commands.items() if args[0] in getattr(command, "commands", ())]
                if args[0] in ELSEWHERE:
                    words = f"`{ctx.command_path} {ELSEWHERE[args[0]]}`"
                    error.message = f"{message.partition(' Did you mean')[0]} Did you mean {words}?"  # type: ignore[attr-defined]
                elif groups:
                    words = " or ".join(f"`{ctx.command_path} {group} {args[0]}`" for group in groups)
                    error.message = f"{message.partition(' Did you mean')[0]} Did you mean {words}?"  # type: ignore[attr-defined]
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their heads."""
        commands = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        known = {name for names in HEADS.values() for name in names}
        others = tuple(name for name in commands if name not in known)
        width = max(map(len, commands))
        limit = formatter.width - 6 - width
        for head, names in HEADS.items():
            shown = [*names, *(others if head == list(HEADS)[-1] else ())]
            rows = [(name.ljust(width), commands[name].get_short_help_str(limit)) for name in shown if name in commands]
            if rows:
                with formatter.section(head):
                    formatter.write_dl(rows)


def register(app: typer.Typer, *, first: str = "") -> None:
    """Mount every group on ``app`` once; if the command line's ``first`` word names a group, only that one."""
    chosen = [group for group in GROUPS if group[1] and group[1] == first]
    mounted = [group.typer_instance for group in app.registered_groups]
    for module_name, name in chosen or GROUPS:
        group = importlib.import_module(module_name).app
        if name != "step":  # a job's command has nobody who watches it
            from baekman.cli.shared.commands import Command

            for command in group.registered_commands:
                command.cls = Command
        if group not in mounted:
            app.add_typer(group, name=name, cls=Group) if name else app.add_typer(group)
