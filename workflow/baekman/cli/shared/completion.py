"""``baekman completion …``: the completion of command lines by a shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import typer

VARIABLE = "_BAEKMAN_COMPLETE"  # in the environment while a shell asks for words
# a new ~/.zshrc has not loaded the completion of zsh, and there is no `compdef` then
COMPINIT = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"

app = typer.Typer(help="The completion of command lines.", no_args_is_help=True)


@app.command()
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="Your shell.")],
) -> None:
    """Print the script that lets a shell complete commands, options and IDs of deliveries.

    Example: baekman completion bash >>~/.bashrc

    Example: baekman completion zsh >>~/.zshrc

    Example: baekman completion fish >~/.config/fish/completions/baekman.fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    script = get_completion_script(prog_name="baekman", complete_var=VARIABLE, shell=shell)
    if shell == "zsh":  # after its first line, by which a file of $fpath is known
        head, rest = script.split("\n", 1)
        script = f"{head}\n{COMPINIT}\n{rest}"
    typer.echo(script)


def first_word(environment: Mapping[str, str]) -> str:
    """Return the first word after ``baekman`` of the command line that a shell completes; "" before it is whole.

    Lets Typer answer the shell, which needs no other preparation.
    """
    from typer._completion_classes import completion_init  # `typer.Typer(add_completion=True)` would add two options

    completion_init()
    words = (environment.get("COMP_WORDS") or environment.get("_TYPER_COMPLETE_ARGS") or "").split()
    return words[1] if len(words) > 1 else ""
