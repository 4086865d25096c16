"""The reception of a delivery of records: from a folder by subject codes to a batch by participant IDs.

The steps are: judge the rows and resolve their subjects, write the verdicts, note the audit event, add the batch, write
the return report, and write the summary. A kill at any instant leaves a state from which the same command finishes.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baekman import audit, consent
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files import atomic
from baekman.files.locks import exclusive, exclusive_and_removed
from baekman.records.batch import add_batch
from baekman.records.dictionary import extend_dictionary, read_dictionary
from baekman.records.intake import home as homes
from baekman.records.intake.deaths import known_deaths
from baekman.records.intake.delivered_rows import DeliveredRows, delivered_rows
from baekman.records.intake.home import RecordsDelivery
from baekman.records.intake.judging import judge_rows
from baekman.records.intake.outcome import Outcome
from baekman.records.intake.return_report import UNREGISTERED, write_return_report
from baekman.records.intake.sheet import SHEET, RecordsSheet, read_records_sheet
from baekman.records.intake.subjects import make_subjects, require_institution, working_database
from baekman.records.intake.tables import DeliveredTables, open_tables
from baekman.records.snapshot import read_snapshot
from baekman.records.store import RecordStore, open_store
from baekman.registry.denied_list import open_in_force
from baekman.registry.records import Registry
from baekman.registry.verdict_history import note_delivery, noted_delivery
from baekman.workspace.denied import withdrawn_participants
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

NAMESPACE = "records/"  # before the name of a delivery in the registry: no delivery of specimens has a name with /
INSTITUTIONS = "institutions of records"  # the note of the registry with their codes


@dataclass(frozen=True, kw_only=True)
class ReceivedRecords:
    """The result: ``status`` is ``received``, or ``same`` for a delivery that was received before.

    ``counts`` has the counts of rows of events and coverage. ``snapshot`` is the first that has the batch.
    """

    delivery_id: str
    status: Literal["received", "same"]
    snapshot: int
    counts: dict[str, Any]
    verdicts: Path


@dataclass(frozen=True, kw_only=True)
class _Reception:
    """Everything that the steps of one reception share."""

    workspace: Workspace
    store: RecordStore
    registry: Registry
    sheet: RecordsSheet
    tables: DeliveredTables
    engine: Engine

    @property
    def name(self) -> str:
        """Return the name of the delivery in the registry."""
        return NAMESPACE + self.sheet.name

    @property
    def secret(self) -> str:
        """Return the secret that is hashed with the institution's names of episodes."""
        return self.registry.ring.mac("episodes", self.sheet.institution, self.sheet.source)


def receive_records(
    folder: Path,
    *,
    workspace: Workspace,
    registry: Path | str | None = None,
    key_file: Path | None = None,
    engine: Engine | None = None,
) -> ReceivedRecords:
    """Receive the delivery of records in ``folder`` into ``workspace``.

    ``registry``, ``key_file``: the places of the registry and of its keys, by default those of the workspace.
    The same delivery a second time finishes an interrupted reception, or does nothing.

    Raises:
        InputRefused: Faults of the delivery itself: sheet, files, an unknown institution, or a name of other content.
            Rows with faults are counted, and refuse nothing else.
    """
    store = open_store(workspace.root)
    sheet = read_records_sheet(folder)
    tables = open_tables(sheet)
    opened = open_in_force(workspace, registry=registry, key_file=key_file)
    require_institution(opened, sheet.institution)
    reception = _Reception(
        workspace=workspace, store=store, registry=opened, sheet=sheet, tables=tables, engine=engine or Engine()
    )
    noted = noted_delivery(opened, sheet.institution, reception.name)
    if noted is not None:
        delivery_id, digest = noted
        if digest != tables.digest:
            raise _repeated_name()
        home = RecordsDelivery.of(workspace, delivery_id)
        if home.summary.is_file():
            return _received(home, "same")
    received = _receive(reception)
    homes.erase_verdicts(workspace, withdrawn_participants(workspace))  # a withdrawal in the meantime
    return received


def _receive(reception: _Reception) -> ReceivedRecords:
    sheet, registry, workspace = reception.sheet, reception.registry, reception.workspace
    institution = _institution_code(reception)
    workers = max(1, reception.engine.workers)
    opened = delivered_rows(
        reception.tables,
        sheet=sheet,
        dictionary=read_dictionary(reception.store.dictionary),
        institution=institution,
        secret=reception.secret,
    )
    with (
        homes.scratch_folder(workspace) as scratch,
        opened as rows,
        rows.failing_plainly(),
        working_database(scratch, workers=workers) as connection,
    ):
        subjects = make_subjects(connection, rows, registry=registry, institution=sheet.institution)
        # this reads all files: a malformed row refuses the delivery before its name is noted
        judge_rows(connection, rows, sheet=sheet, secret=reception.secret, folder=scratch, note_subjects=subjects.add)
        delivery_id, status = note_delivery(registry, sheet.institution, reception.name, reception.tables.digest)
        if status == "changed":
            raise _repeated_name()
        home = RecordsDelivery.of(workspace, delivery_id)
        with exclusive_and_removed(home.lock, waits_for="another command that receives this delivery"):
            if home.summary.is_file():
                return _received(home, "same")
            # a batch that is there already was killed before its report: its verdicts are written
            if read_snapshot(reception.store).entry(home.id) is None:
                outcome = _outcome(reception, connection, rows, scratch)
                _add(reception, home, outcome, institution=institution)
            _conclude(reception, home, connection)
    return _received(home, "received")


def _outcome(
    reception: _Reception, connection: duckdb.DuckDBPyConnection, rows: DeliveredRows, scratch: Path
) -> Outcome:
    deaths = known_deaths(reception.store)
    outcome = Outcome(connection, rows, sheet=reception.sheet, folder=scratch, deaths=deaths)
    outcome.leave_out(withdrawn_participants(reception.workspace))
    if rows.is_omop:
        extend_dictionary(reception.store, rows.dictionary)
    return outcome


def _add(reception: _Reception, home: RecordsDelivery, outcome: Outcome, *, institution: str) -> None:
    """Write verdicts and counts, note the audit event, and add the batch."""
    homes.write_verdicts(home.verdicts, outcome.verdicts())
    atomic.write_text(home.counts, json.dumps(outcome.counts(), indent=1) + "\n")
    consent_hash = _consent_hash(reception.registry, outcome.participants())
    audit.record(reception.workspace.root, action="records.receive", object=home.id, consent_hash=consent_hash)
    add_batch(
        reception.store,
        name=home.id,
        as_of=reception.sheet.as_of,
        events=outcome.events(institution=institution),
        coverage=outcome.coverage(),
        engine=reception.engine,
    )


def _conclude(reception: _Reception, home: RecordsDelivery, connection: duckdb.DuckDBPyConnection) -> None:
    """Write the return report and, last, the summary: the reception is complete with it."""
    sheet = reception.sheet
    unregistered = _unregistered(connection)
    write_return_report(connection, home, workspace=reception.workspace, sheet=sheet, unregistered=unregistered)
    homes.write_summary(
        home,
        {
            "delivery": home.id,
            "source": sheet.source,
            "as_of": sheet.as_of.isoformat(),
            "period": [str(sheet.first), str(sheet.last)] if sheet.first else None,
            "received": datetime.now(UTC).isoformat(timespec="seconds"),
            "snapshot": read_snapshot(reception.store).number,
        },
    )


def _received(home: RecordsDelivery, status: Literal["received", "same"]) -> ReceivedRecords:
    return ReceivedRecords(
        delivery_id=home.id,
        status=status,
        snapshot=homes.read_summary(home)["snapshot"],
        counts=json.loads(home.counts.read_text("utf-8")),
        verdicts=home.verdicts,
    )


def _consent_hash(registry: Registry, participants: Iterable[str]) -> str:
    """Return the hash of the consent of ``participants``, which are sorted; a page of them is in memory."""

    def standing() -> Iterator[tuple[str, Any, Any]]:
        page: list[str] = []
        for participant_id in participants:
            page.append(participant_id)
            if len(page) == 500:
                yield from ((each.participant_id, each.states, each.events) for each in registry.standing(page))
                page = []
        if page:
            yield from ((each.participant_id, each.states, each.events) for each in registry.standing(page))

    return consent.state_hash(standing())


def _institution_code(reception: _Reception) -> str:
    """Return the code of the institution in events (``I1``, ``I2``, …), which shows nothing of its name.

    The registry keeps the codes under seal. Commands that receive at the same time wait for one another.
    """
    name = unicodedata.normalize("NFC", reception.sheet.institution)
    lock = reception.workspace.records / homes.FOLDER / ".institutions.lock"
    with exclusive(lock, waits_for="another command that receives records"):
        codes: dict[str, str] = dict(reception.registry.noted(INSTITUTIONS) or {})
        if name not in codes:
            codes[name] = f"I{len(codes) + 1}"
            reception.registry.note(INSTITUTIONS, codes)
    return codes[name]


def _unregistered(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], int]:
    """Return the first subject codes that are not registered, sorted, and the number of all of them."""
    condition = "FROM subjects WHERE participant_id IS NULL"
    codes = connection.execute(f"SELECT subject_code {condition} ORDER BY subject_code LIMIT {UNREGISTERED}").fetchall()
    count = connection.execute(f"SELECT count(*) {condition}").fetchall()
    return [row[0] for row in codes], count[0][0]


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
