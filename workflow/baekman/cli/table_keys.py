"""``baekman table-keys …``: the keys of encrypted tables."""

from __future__ import annotations

import typer

from baekman.cli.options import HERE, WorkspaceOption

app = typer.Typer(help="The keys of encrypted tables.", no_args_is_help=True)


@app.command()
def init(workspace: WorkspaceOption = HERE) -> None:
    """Encrypt the tables of this workspace from now on, as `encrypt_tables: true` does.

    Example: baekman table-keys init --workspace W
    """
    from baekman.tables import keys as table_keys
    from baekman.workspace.identity import require_workspace

    require_workspace(workspace)
    if table_keys.create(workspace):
        print("tables are encrypted from now on; keep a copy of the master key in a safe place")
    else:
        print("tables are encrypted already: nothing to do")


@app.command()
def rotate(workspace: WorkspaceOption = HERE) -> None:
    """Seal the participants' keys with a new master key; after a stop, run it again.

    Example: baekman table-keys rotate --workspace W
    """
    from baekman import audit
    from baekman.errors import InputRefused, Problem
    from baekman.tables import keys as table_keys

    keys = table_keys.open_keys(workspace)
    if keys is None:
        raise InputRefused(
            Problem(
                file=table_keys.FOLDER,
                expected="a workspace with encrypted tables",
                found="none",
                action="`baekman table-keys init` begins it",
            )
        )
    with audit.use(workspace, action="table-keys.rotate"):
        count = keys.rotate()
    print(f"{count} keys sealed with a new master key")
