"""Deliveries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import HERE, WORKERS, ConfigOption, KeyFileOption, RegistryOption, WorkspaceOption
from baekman.cli.workflow import readable_folder

app = typer.Typer(help="Deliveries.", no_args_is_help=True)


@app.command()
def receive(
    delivery: Annotated[
        Path,
        typer.Argument(metavar="DELIVERY", help="The delivery's folder.", callback=readable_folder, readable=False),
    ],
    workspace: WorkspaceOption = HERE,
    config: ConfigOption = None,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
    crypt4gh_key: Annotated[
        Path | None,
        typer.Option("--crypt4gh-key", help="Private key (mode 0600) of encrypted files; else BAEKMAN_CRYPT4GH_KEY."),
    ] = None,
    workers: Annotated[int | None, WORKERS] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Stage a delivery anew whose staged files were used and deleted.")
    ] = False,
) -> None:
    """Inspect a delivery, stage what passes, and write verdicts and the institution's return report.

    Prints one line per specimen: its pseudonymous ID, the verdict and the reasons.

    Example: baekman receive inbox/2026-03-02 --workspace W
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from baekman.config.loading import load_config
    from baekman.intake.receive import Access
    from baekman.intake.receive import receive as receive_delivery
    from baekman.workspace.paths import Workspace

    columns = (TextColumn("receiving"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("receiving", total=None)
        received = receive_delivery(
            delivery,
            workspace=Workspace(workspace),
            config=load_config(workspace, config),
            access=Access(registry=registry, key_file=key_file, crypt4gh_key=crypt4gh_key),
            workers=workers,
            again=again,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if received.status == "same":
        print(f"{received.delivery_id} was received before: nothing to do")
        return
    print("delivery\tspecimen\tverdict\treasons")
    for verdict in received.verdicts:
        codes = ",".join(dict.fromkeys(reason.code for reason in verdict.reasons))
        print(f"{received.delivery_id}\t{verdict.specimen_id}\t{verdict.verdict}\t{codes}")


@app.command("return-report")
def return_report(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery ID, D….")],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Add what the QC gate says to the institution's return report of a delivery.

    Example: baekman return-report D0123456789ABC --workspace W
    """
    from baekman import audit, pseudonyms
    from baekman.intake.return_report import write_return_report
    from baekman.registry.records import open_registry
    from baekman.workspace.paths import Workspace

    pseudonyms.check(delivery, "D")
    opened = open_registry(workspace, registry=registry, key_file=key_file)
    write_return_report(Workspace(workspace), delivery, registry=opened)
    audit.record(workspace, action="return_report", object=delivery)
    print(f"return report of {delivery} written")
