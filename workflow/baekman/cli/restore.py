"""``baekman restore …``: work after a back-up was restored."""

from __future__ import annotations

import typer

from baekman.cli.options import CORES, HERE, KeyFileOption, RegistryOption, WorkersOption, WorkspaceOption

app = typer.Typer(help="After a back-up was restored.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep ``check`` a command of the group, as Typer makes the only command the group itself."""


@app.command()
def check(
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    workers: WorkersOption = CORES,
) -> None:
    """Apply withdrawals and refusals again after a back-up of registry, workspace or cohort was restored.

    Registry, marks, list of denials, receipts and audit log get what any of them knows; data of withdrawn participants
    is removed, and packages with a member of ended consent are revoked. Prints a line for each thing done. A second
    call does nothing.

    Example: baekman restore check --workspace W
    """
    from baekman.registry.records import open_registry
    from baekman.registry.seal.upgrade import Unsealed
    from baekman.releases.package.revocation import revoke_ended
    from baekman.withdrawal import restore_check
    from baekman.workspace.paths import Workspace

    opened = open_registry(workspace, registry=registry, key_file=key_file, unsealed=Unsealed.RESTORED)
    if opened.was_unsealed:
        print("the registry is a copy from before it was sealed: its records were sealed as they are")
    lines = restore_check(Workspace(workspace), registry=opened, workers=workers)
    lines += revoke_ended(workspace, registry=opened)
    print("\n".join(lines) or "everything is in order: nothing to do")
