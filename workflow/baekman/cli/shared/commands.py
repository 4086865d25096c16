"""The class of every command: ``--quiet``, and a line a minute on stderr where that is no terminal."""

from __future__ import annotations

import itertools
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from baekman.engine import progress
from baekman.pseudonyms import is_valid

IMPLIED = {"--carriers": "all"}  # options with a value that may be left out
# options of other programs, or of other commands -> the words that may be meant, of which a command has some
ELSEWHERE = {
    "--json": ("--format json",),
    "--format": ("--json",),
    **dict.fromkeys(("--threads", "--jobs", "--cores", "--workers", "-t", "-j", "-@"), ("--workers", "--cores")),
    **dict.fromkeys(("--samples", "--sample", "--samples-file", "-s", "-S"), ("--participants", "--participant")),
    **dict.fromkeys(("--bed", "--targets", "--regions-file", "-R", "-T"), ("--regions",)),
    **dict.fromkeys(("-r", "--chr", "--contig"), ("--region",)),
    **dict.fromkeys(("-O", "--output-type"), ("--format",)),
    **dict.fromkeys(("-w", "-W", "-C", "--dir", "--directory"), ("--workspace",)),
    "-n": ("--dry-run",),
}
OWN_LINES = ("deliver", "watch")  # commands with lines of their own, which know the rule that runs


class Command(TyperCommand):
    """A command with the option ``--quiet`` that shows its progress."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(
            TyperOption(
                param_decls=["--quiet", "-q"],
                is_flag=True,
                default=False,
                expose_value=False,
                callback=_note_quiet,
                help="Print only results and errors: no progress, no notes.",
            )
        )

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; an argument too many is probably the value of an option."""
        given = list(args)
        args = _with_values(args)
        self._require_values(args)
        try:
            return list(super().parse_args(ctx, args))
        except Exception as error:
            if (unknown := getattr(error, "option_name", "")) in ELSEWHERE:
                meant = [words for words in ELSEWHERE[unknown] if words.partition(" ")[0] in self._options()]
                error.possibilities = meant[:1]  # type: ignore[attr-defined]
            if str(error).startswith("Got unexpected extra argument") and (hint := self._hint(given)):
                error.message = f"{error}. {hint}"  # type: ignore[attr-defined]
            raise

    def _options(self) -> set[str]:
        return {name for parameter in self.params for name in parameter.opts}

    def _require_values(self, args: list[str]) -> None:
        """Refuse an option in the place of the value of another, which would take it silently."""
        options = self._options() | {"--help"}
        valued = {
            name
            for parameter in self.params
            for name in parameter.opts
            if name.startswith("-") and not getattr(parameter, "is_flag", False)
        }
        for argument, after in itertools.pairwise(args):
            if argument == "--":
                return
            if argument in valued and after.startswith("--") and after in options:
                raise typer.BadParameter(f"expected a value, found the option {after}", param_hint=argument)

    def _hint(self, given: list[str]) -> str:
        """Return the option that an argument too many was probably meant for; "" for none."""
        options = self._options()
        words = zip(given, ["", *given], strict=False)  # each with the one before it
        extra = [word for word, before in words if not word.startswith("-") and not before.startswith("-")]
        for word in extra:
            for option, value, is_likely in (
                ("--delivery", "ID", is_valid(word, "D")),
                ("--participant", "ID", is_valid(word, "P")),
                ("--rsid", word, re.fullmatch(r"rs\d+", word)),
                ("--carriers", word, re.fullmatch(r"[^:]+:[\d,]+:[ACGT]+:[ACGT]+", word)),
                ("--region", word, re.fullmatch(r"(chr)?[\w.]+:[\d,]+(-[\d,]*)?|chr\w+", word)),
                ("--workspace", "DIR", Path(word).is_dir()),
            ):
                if is_likely and option in options:
                    return f"Did you mean {option} {value}?"
        return ""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, quiet where it was asked for, with a line of progress each minute elsewhere."""
        is_quiet = ctx.meta.get(__name__, False)
        words = ctx.command_path.partition(" ")[2] or ctx.command_path
        lines = nullcontext() if self.name in OWN_LINES else progress.minute_lines(words)
        with progress.quiet() if is_quiet else lines:
            return super().invoke(ctx)


def _with_values(args: list[str]) -> list[str]:
    """Return the command line with the value of an option that may be given without one (``IMPLIED``)."""
    words = []
    for argument, after in itertools.zip_longest(args, args[1:], fillvalue="--"):
        words.append(argument)
        if argument in IMPLIED and after.startswith("-"):
            words.append(IMPLIED[argument])
    return words


def _note_quiet(ctx: Any, _option: object, is_quiet: bool) -> bool:
    ctx.meta[__name__] = is_quiet
    return is_quiet
