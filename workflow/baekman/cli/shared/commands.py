"""The class of every command: ``--quiet``, and a line a minute on stderr where that is no terminal."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from typer.core import TyperCommand, TyperOption

from baekman.engine import progress

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

    def invoke(self, ctx: Any) -> Any:
        """Run the command, quiet where it was asked for, with a line of progress each minute elsewhere."""
        is_quiet = ctx.meta.get(__name__, False)
        words = ctx.command_path.partition(" ")[2] or ctx.command_path
        lines = nullcontext() if self.name in OWN_LINES else progress.minute_lines(words)
        with progress.quiet() if is_quiet else lines:
            return super().invoke(ctx)


def _note_quiet(ctx: Any, _option: object, is_quiet: bool) -> bool:
    ctx.meta[__name__] = is_quiet
    return is_quiet
