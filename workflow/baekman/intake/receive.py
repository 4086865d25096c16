"""Intake: a delivery is inspected against the registry; specimens that pass are staged under pseudonymous IDs.

``receive`` is the only step of the pipeline that sees an institution's own names. It runs in the main process, never
in a job, since it needs the registry. Everything that it leaves in the workspace is pseudonymous, except the return
report (``return_report``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baekman.cohort.settings import require_fixed_in
from baekman.config.loading import load_config
from baekman.errors import InputRefused, Problem
from baekman.files.locks import exclusive
from baekman.files.sidecar import read_checked
from baekman.files.untrusted import FileFault, walk
from baekman.genome.reference import cached_reference
from baekman.intake import return_report
from baekman.intake.checks import check_manifest
from baekman.intake.crypt4gh import RecipientKey, recipient_key
from baekman.intake.delivered_file import DeliveredFile, Measured
from baekman.intake.delivery import SHEET, Delivery, read_delivery, require_permission
from baekman.intake.inspection import Inspection
from baekman.intake.reasons import Finding
from baekman.intake.reception import ReceivedDelivery, Reception, conclude, require_as_before
from baekman.intake.specimen import inspect
from baekman.registry.denied_list import open_in_force
from baekman.registry.verdict_history import note_delivery
from baekman.verdicts import read_verdicts
from baekman.workspace.incomplete import remove_incomplete
from baekman.workspace.paths import DeliveryFolder, Workspace

Progress = Callable[[int, int], None]  # specimens done, specimens in all


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
    workers: int | None = None,
    again: bool = False,
    progress: Progress = lambda done, total: None,
) -> ReceivedDelivery:
    """Inspect the delivery in ``folder``, stage the specimens that pass, write verdicts and the return report.

    The same delivery a second time finishes an interrupted intake, or only calls ``remove_incomplete``.

    Args:
        folder: The delivery, with ``delivery.yaml`` and ``manifest.tsv``.
        workspace: The workspace that receives it.
        config: Loaded settings; default: those of the workspace.
        access: The places of the registry and of the keys.
        workers: Specimens inspected at the same time; default: up to 4.
        again: Inspect and stage a complete delivery again, since jobs delete the staged files that they used.
        progress: Called with the numbers of inspected and of all specimens.

    Raises:
        InputRefused: A malformed delivery, a name of other content, a fixed setting, files that do not pass ``again``.
    """
    access = access or Access()
    delivery = read_delivery(folder)
    settings = config if config is not None else load_config(workspace.root)
    key = recipient_key(access.crypt4gh_key)
    require_fixed_in(workspace, settings)
    registry = open_in_force(workspace, registry=access.registry, key_file=access.key_file)
    delivery_id, status = note_delivery(registry, delivery.institution, delivery.name, delivery.digest)
    if status == "changed":
        raise _repeated_name()
    home = workspace.delivery(delivery_id)
    with exclusive(home.intake_lock, waits_for="another run that receives this delivery"):
        before = _read_summary(home)
        if before is not None:
            _require_same_content(home, delivery, key)
            remove_incomplete(workspace, home.id)
        if before is not None and not again:
            return _received_before(workspace, home, delivery)
        require_permission(delivery)
        reference, contigs = cached_reference(Path(settings["reference"]), cache=workspace.intake_cache)
        reception = Reception(
            delivery=delivery,
            home=home,
            workspace=workspace,
            registry=registry,
            settings=settings,
            key=key,
            reference=reference,
            contigs=contigs,
        )
        inspections = _inspect_all(reception, workers=workers, progress=progress)
        if before is not None:
            require_as_before(reception, inspections)
        return conclude(reception, inspections, before)


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


def _inspect_all(reception: Reception, *, workers: int | None, progress: Progress) -> list[Inspection]:
    """Return the inspection of every specimen in the manifest's order; a faulty specimen stops no other."""
    delivery = reception.delivery
    for abandoned in reception.home.staged.glob(".*.tmp"):  # left by a process that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    findings = check_manifest(delivery, present=list(walk(delivery.folder)))
    _note_repeated_participants(reception, findings)
    count = workers or min(4, len(os.sched_getaffinity(0)))
    barcodes = list(delivery.specimens)
    progress(0, len(barcodes))
    inspections: list[Inspection] = []
    with ThreadPoolExecutor(max_workers=count) as pool:
        tasks = [pool.submit(inspect, reception, barcode, findings[barcode]) for barcode in barcodes]
        try:
            for task in tasks:
                inspections.append(task.result())
                progress(len(inspections), len(barcodes))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return inspections


def _note_repeated_participants(reception: Reception, findings: Mapping[str, list[Finding]]) -> None:
    """Add a finding to each of several specimens of one participant: the institution must choose one of them."""
    barcodes_of: dict[str, list[str]] = {}
    for barcode in reception.delivery.specimens:
        record = reception.registry.specimen(reception.delivery.institution, barcode)
        if record is not None:
            barcodes_of.setdefault(record.participant_id, []).append(barcode)
    for barcodes in barcodes_of.values():
        if len(barcodes) > 1:
            for barcode in barcodes:
                findings[barcode].append(
                    Finding.of("participant_repeated", metric="specimens", observed=len(barcodes), threshold=1)
                )


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
