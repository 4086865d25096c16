"""Commands on deliveries: intake alone, and the return report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from baekman.cli.options import (
    HERE,
    WORKERS,
    ConfigOption,
    KeyFileOption,
    RegistryOption,
    WorkspaceOption,
    delivery_ids,
    one_delivery,
)
from baekman.cli.shared.ended_consent import open_and_revoke_ended, open_registry_and_sweep
from baekman.cli.shared.notes import note
from baekman.engine.progress import progress_bar

app = typer.Typer(help="Deliveries.", no_args_is_help=True)


@app.command()
def receive(
    delivery: Annotated[
        Path,
        typer.Argument(metavar="DELIVERY", help="The delivery's folder.", callback=one_delivery, readable=False),
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
        bool, typer.Option("--again", help="Stage a complete delivery again: jobs delete the files that they used.")
    ] = False,
) -> None:
    """Inspect a delivery, stage the specimens that pass, and write verdicts and the return report.

    Prints one line per specimen: its pseudonymous ID, the verdict and the reasons.

    Example: baekman receive inbox/2026-03-02 --workspace W
    """
    from baekman.config.loading import load_config
    from baekman.intake.receive import Access, here
    from baekman.intake.receive import receive as receive_delivery
    from baekman.report.wording import reporting_sentence
    from baekman.tools.environment import forget_places
    from baekman.verdicts import reporting_gates
    from baekman.withdrawal import sweep
    from baekman.workspace.paths import Workspace
    from baekman.workspace.runs.failures import read_failures

    forget_places(os.environ, delivery)
    with progress_bar() as show:
        received = receive_delivery(
            delivery,
            workspace=Workspace(workspace),
            config=load_config(workspace, file=config),
            access=Access(registry=registry, key_file=key_file, crypt4gh_key=crypt4gh_key),
            again=again,
            run=here(workers=workers, progress=lambda done, total: show("receiving", done, total)),
        )
    sweep(Workspace(workspace))
    open_and_revoke_ended(workspace, registry=registry, key_file=key_file)
    failures = read_failures(Workspace(workspace).delivery(received.delivery_id), ("intake",)).values()
    for failure in failures:
        note(f"not processed: {failure.participant_id}: {failure.lines[-1] if failure.lines else failure.rule}")
    if failures:
        note("mend the cause and run the same command again, which tries no other specimen")
    if reporting := reporting_sentence(reporting_gates(received.verdicts)):
        note(reporting)
    if received.status == "same":
        print(f"{received.delivery_id} was received before: nothing to do")
        return
    print("delivery\tspecimen\tverdict\treasons")
    for verdict in received.verdicts:
        codes = ",".join(dict.fromkeys(reason.code for reason in verdict.reasons))
        print(f"{received.delivery_id}\t{verdict.specimen_id}\t{verdict.verdict}\t{codes}")


@app.command("return-report")
def return_report(
    delivery: Annotated[
        str, typer.Argument(metavar="DELIVERY", help="A delivery ID, D….", autocompletion=delivery_ids)
    ],
    workspace: WorkspaceOption = HERE,
    registry: RegistryOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Add the QC verdicts of a delivery to the institution's return report.

    Example: baekman return-report D0123456789ABC --workspace W
    """
    from baekman import audit, pseudonyms
    from baekman.intake.return_report import write_return_report
    from baekman.workspace.paths import Workspace

    pseudonyms.check(delivery, "D")
    opened = open_registry_and_sweep(Workspace(workspace), registry=registry, key_file=key_file)
    with audit.use(workspace, action="return_report", object=delivery):
        write_return_report(Workspace(workspace), delivery, registry=opened)
    print(f"return report of {delivery} written")
