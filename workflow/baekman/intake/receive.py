"""Intake: a delivery is inspected against the registry; specimens that pass are staged under pseudonymous IDs.

``receive`` runs in the main process, never in a job, since it needs the registry. It opens no delivered file to read
it: ``orders.desk`` writes an order for each specimen, a job inspects it (``specimen``), and the notes of the jobs are
concluded here. Everything that stays in the workspace is pseudonymous, except the return report (``return_report``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baekman.cohort.settings import require_fixed_in
from baekman.config.loading import load_config
from baekman.engine.cores import available_cores
from baekman.errors import InputRefused, Problem
from baekman.files.locks import exclusive
from baekman.files.sidecar import read_checked
from baekman.files.untrusted import FileFault
from baekman.genome.reference import cached_reference
from baekman.intake import return_report
from baekman.intake.crypt4gh import RecipientKey, recipient_key
from baekman.intake.delivered_file import DeliveredFile, Measured
from baekman.intake.delivery import SHEET, Delivery, file_states, read_delivery
from baekman.intake.examination.institution import require_institution
from baekman.intake.inspection import Inspection
from baekman.intake.orders.again import judged_again
from baekman.intake.orders.desk import Desk, NeededFiles, check_specimens, collect
from baekman.intake.orders.order import write_orders
from baekman.intake.reception import ReceivedDelivery, Reception, conclude, require_as_before
from baekman.intake.specimen import inspect
from baekman.registry.denied_list import open_in_force
from baekman.registry.records import Registry
from baekman.registry.verdict_history import note_delivery
from baekman.tools.pipes import kind_of
from baekman.verdicts import read_verdicts
from baekman.workspace.abandoned_orders import destroy_orders
from baekman.workspace.incomplete import remove_incomplete
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.runs.causes import is_shared
from baekman.workspace.runs.failures import Failure, clear_failures, write_failures

Progress = Callable[[int, int], None]  # specimens done, specimens in all
# Carries out the orders of participants of a delivery (its ID); each leaves a note.
RunOrders = Callable[[Workspace, str, Sequence[str]], None]


def here(*, workers: int | None = None, progress: Progress = lambda done, total: None) -> RunOrders:
    """Return a function that carries out orders in this process.

    A failure while one specimen is inspected holds that specimen, as that of a job does; a failure that all share, or
    of all specimens, is raised.

    Args:
        workers: Specimens inspected at the same time; default: the cores that this process may use.
        progress: Called with the numbers of inspected and of all specimens.
    """

    def run(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        home = workspace.delivery(delivery_id)
        clear_failures(home, ("intake",), participants)
        failures: dict[str, Exception] = {}
        progress(0, len(participants))
        with ThreadPoolExecutor(max_workers=workers or available_cores()) as pool:
            tasks = [pool.submit(inspect, workspace, delivery_id, participant) for participant in participants]
            try:
                for done, (participant, task) in enumerate(zip(participants, tasks, strict=True), start=1):
                    if failure := _failure_of(task, workspace):
                        failures[participant] = failure
                    progress(done, len(participants))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        _hold(failures, home)

    return run


def _failure_of(task: Future[None], workspace: Workspace) -> Exception | None:
    """Return the failure of the inspection of one specimen, if any; raise one that all share."""
    try:
        task.result()
    except InputRefused:
        raise
    except Exception as failure:
        if is_shared(failure, folder=workspace.root):
            raise
        return failure
    return None


def _hold(failures: Mapping[str, Exception], home: DeliveryFolder) -> None:
    """Note each of ``failures``, by participant; raise the first where nobody is left."""
    if failures and not home.summary.is_file() and not any(home.inspected.glob("P*.json")):
        raise next(iter(failures.values()))
    write_failures(
        home,
        (
            Failure(participant_id=participant, gate="intake", rule="inspect", lines=(kind_of(failure),))
            for participant, failure in failures.items()
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Access:
    """The places of the registry and of the keys; None is the default place of each.

    ``crypt4gh_key`` is the private key of encrypted files.
    """

    registry: Path | str | None = None
    key_file: Path | None = None
    crypt4gh_key: Path | None = None


def receive(
    folder: Path,
    *,
    workspace: Workspace,
    config: Mapping[str, Any] | None = None,
    access: Access | None = None,
    again: bool = False,
    needed: Mapping[str, Collection[str]] | None = None,
    run: RunOrders | None = None,
) -> ReceivedDelivery:
    """Inspect the delivery in ``folder``, stage the specimens that pass, write verdicts and the return report.

    The same delivery a second time finishes an interrupted intake, or judges the specimens again for which something
    has changed (``orders.again``), or only calls ``remove_incomplete``.

    Args:
        folder: The delivery, with ``delivery.yaml`` and ``manifest.tsv``.
        workspace: The workspace that receives it.
        config: Loaded settings; default: those of the workspace.
        access: The places of the registry and of the keys.
        again: Inspect and stage a complete delivery again, since jobs delete the staged files that they used.
        needed: With ``again``, the names of the staged files to make again, by participant; default: all.
        run: Carries out the orders; default: ``here``.

    Raises:
        InputRefused: A malformed delivery, a name of other content, a fixed setting, files that do not pass ``again``.
    """
    access = access or Access()
    delivery = read_delivery(folder)
    settings = config if config is not None else load_config(workspace.root)
    key = recipient_key(access.crypt4gh_key)
    require_fixed_in(workspace, settings)
    registry = open_in_force(workspace, registry=access.registry, key_file=access.key_file)
    delivery_id = _noted(delivery, registry)
    home = workspace.delivery(delivery_id)
    with exclusive(home.intake_lock, waits_for="another run that receives this delivery"):
        before = _read_summary(home)
        if before is not None:
            _require_same_content(home, delivery, key)
            remove_incomplete(workspace, home.id)
        reception = Reception(
            delivery=delivery, home=home, workspace=workspace, registry=registry, settings=settings, key=key
        )
        if before is not None and not again:
            reception = replace(reception, judged_again=judged_again(reception))
            if not reception.judged_again:
                return _received_before(workspace, home, delivery)
        cached_reference(Path(settings["reference"]), cache=workspace.intake_cache)  # one process makes it for all jobs
        needed_files = NeededFiles(everyone=before is None or (again and needed is None), files=needed or {})
        desk = check_specimens(reception, file_states(delivery), needed=needed_files)
        inspections = _inspections(reception, desk, run or here())
        if before is not None:
            require_as_before(reception, inspections)
        return conclude(reception, inspections, before)


def _inspections(reception: Reception, desk: Desk, run: RunOrders) -> list[Inspection]:
    """Return the inspection of every specimen in the manifest's order; orders and their key are gone afterwards."""
    if not desk.orders:
        return collect(reception, desk, None)
    home = reception.home
    try:
        ring = write_orders(home, desk.orders.values())
        run(reception.workspace, home.id, [order.participant_id for order in desk.orders.values()])
    finally:
        destroy_orders(home)
    return collect(reception, desk, ring)


def _noted(delivery: Delivery, registry: Registry) -> str:
    """Return the ID of ``delivery``; InputRefused for an unknown institution, or a name of other content."""
    require_institution(delivery, registry)
    delivery_id, status = note_delivery(registry, delivery.institution, delivery.name, delivery.digest)
    if status == "changed":
        raise _repeated_name()
    return delivery_id


def _received_before(workspace: Workspace, home: DeliveryFolder, delivery: Delivery) -> ReceivedDelivery:
    return ReceivedDelivery(
        delivery_id=home.id,
        status="same",
        verdicts=tuple(read_verdicts(home.verdicts("intake"))),
        report=return_report.folder_of(workspace, delivery.institution, delivery.name),
    )


def received_id(folder: Path, *, workspace: Workspace) -> str | None:
    """Return the ID of the delivery in ``folder`` if its intake is complete, else None.

    Only the return report is read, not the registry.
    """
    delivery = read_delivery(folder)
    report = return_report.read(return_report.folder_of(workspace, delivery.institution, delivery.name))
    if report is None or not workspace.delivery(report["receipt"]).summary.is_file():
        return None
    return str(report["receipt"])


def _read_summary(home: DeliveryFolder) -> dict[str, Any] | None:
    """Return ``delivery.json``; None before the intake is complete."""
    return json.loads(read_checked(home.summary)) if home.summary.is_file() else None


def _require_same_content(home: DeliveryFolder, delivery: Delivery, key: RecipientKey | None) -> None:
    """Raise InputRefused when a delivered file has other content than the file that was received.

    A file that is absent or cannot be read is skipped. A file with the same size and times is not read again.
    """
    noted = json.loads(read_checked(home.inputs))
    for row in delivery.rows:
        before = noted.get(str(row.row))
        delivered = DeliveredFile(folder=delivery.folder, row=row, key=key)
        try:
            if before is None or delivered.fingerprint() == before["fingerprint"]:
                continue
            measured = Measured(delivered.blocks())
            for _ in measured:
                pass
        except FileFault:
            continue
        if measured.sha256 != before["sha256"]:
            raise _repeated_name()


def _repeated_name() -> InputRefused:
    return InputRefused(
        Problem(
            file=SHEET,
            place="delivery",
            expected="a name that no delivery of other content has had",
            found="the name of a delivery that was received with other content",
            action="give the corrected delivery a name of its own",
        )
    )
