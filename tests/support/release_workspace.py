"""A workspace with registered people, their records and a project: what a release is planned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from baekman import data
from baekman.consent import ConsentEvent, Decision, Scope, today
from baekman.engine.local import Engine
from baekman.projects.project import Project, add_project
from baekman.records.batch import add_batch
from baekman.records.schema import COVERAGE, EVENTS
from baekman.records.store import create_store
from baekman.registry.denied_list import open_in_force
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry
from baekman.releases.home import ReleaseHome
from baekman.releases.plan import Plan
from baekman.releases.propose import propose
from baekman.workspace.paths import Workspace
from support.projects import DESCRIPTION, describe
from support.registrations import HEADER

START = datetime(2020, 1, 1, 9)
BP, SMOKING = "LOINC/8480-6", "SURVEY/smoking_status"
SCOPES = (Scope.GENOME, Scope.CLINICAL, Scope.LIFESTYLE, Scope.PUBLIC_RECORD_LINKAGE)
Row = tuple[str, int, str, float | None, str | None]  # participant, day, code, value, category


@dataclass
class ReleaseWorkspace:
    """A workspace, its registry and project; ``people`` are participant IDs in the order of their registration."""

    root: Path
    registry: Registry
    project: Project
    people: list[str]

    def request(self, **keys: Any) -> Path:
        """Write a request and return its path."""
        asked = {
            "project": self.project.id,
            "tier": "room",
            "who": "SELECT participant_id FROM participants",
            "codes": ["KCD8/*", BP, SMOKING],
            **keys,
        }
        path = self.root / "request.yaml"
        path.write_text(yaml.safe_dump(asked, allow_unicode=True), encoding="utf-8")
        return path

    def propose(self, **keys: Any) -> tuple[ReleaseHome, Plan]:
        """Propose a release of everybody, with ``keys`` of the request in place of the defaults."""
        registry = open_in_force(Workspace(self.root))
        return propose(self.root, self.request(**keys), registry=registry)

    def propose_again(self, home: ReleaseHome) -> tuple[ReleaseHome, Plan]:
        """Propose the request that a release keeps, with its snapshots."""
        return propose(self.root, home.request, registry=open_in_force(Workspace(self.root)))

    def withdraw_scope(self, participant: str, *scopes: Scope) -> None:
        """Record that ``participant`` takes the consent to ``scopes`` back, from today."""
        self.registry.add_consent(
            ConsentEvent(participant_id=participant, decision=Decision.WITHDRAWN, scopes=scopes, valid_from=today())
        )

    def another_project(self, **keys: Any) -> Project:
        """Add a project of another title, with ``keys`` of its description in place of the defaults."""
        text = yaml.safe_dump({**yaml.safe_load(DESCRIPTION), "title": "다른 과제", **keys}, allow_unicode=True)
        return add_project(self.root, describe(self.root, text))[0]


def register(root: Path, count: int, *, first: int = 0) -> list[str]:
    """Register ``count`` people with consent to every scope of data, born from 1950 on; return their IDs."""
    registry, _ = create_registry(root)
    scopes = ";".join(SCOPES)
    lines = [
        f"Hospital\tBAR-{number:04d}\tSUBJ-{number}\tgeneral\t{('female', 'male')[number % 2]}\tgranted\t2025-01-01\t\t"
        f"{scopes}\t{1950 + number % 3}\t\t\t"
        for number in range(first, first + count)
    ]
    table = root / "registration.tsv"
    table.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    import_registrations(registry, [table])
    table.unlink()
    ids = []
    for number in range(first, first + count):
        record = registry.specimen("Hospital", f"BAR-{number:04d}")
        assert record is not None
        ids.append(record.participant_id)
    return ids


def rows_of(people: Sequence[str]) -> list[Row]:
    """Return records: a pressure and a survey for everybody, diabetes for two thirds, a rare code for five."""
    rows: list[Row] = []
    for number, participant in enumerate(people):
        rows.append((participant, number % 50, BP, 100.0 + number, None))
        rows.append((participant, 60, SMOKING, None, ("never", "current")[number % 2]))
        if number % 3:
            rows.append((participant, number * 2, "KCD8/E119", None, None))
            rows.append((participant, number * 2 + 30, "KCD8/E119", None, None))
        if number < 5:
            rows.append((participant, 90, "KCD8/E112", None, None))
    return rows


def add_records(root: Path, rows: Sequence[Row], *, name: str = "claims", people: Sequence[str] = ()) -> None:
    """Add a batch with ``rows``; ``people`` are covered for five years, by default those with rows."""
    from baekman.records.store import open_store

    covered = sorted({row[0] for row in rows} | {*people})
    events = [
        (person, START + timedelta(days=days), None, code, value, category, "claims", "Hospital", f"E{days}")
        for person, days, code, value, category in rows
    ]
    coverage = [(person, "claims", date(2020, 1, 1), date(2024, 12, 31)) for person in covered]

    def batches(values: Sequence[tuple[Any, ...]], schema: pa.Schema) -> list[pa.RecordBatch]:
        columns = zip(*values, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema).to_batches()

    add_batch(
        open_store(root),
        name=name,
        as_of=datetime(2025, 1, 1),
        events=batches(events, EVENTS),
        coverage=batches(coverage, COVERAGE),
        engine=Engine(),
    )


def make_workspace(root: Path, *, people: int = 40) -> ReleaseWorkspace:
    """Return a workspace of ``people`` with records (``rows_of``) and a project that may use all scopes of data."""
    root.mkdir(parents=True, exist_ok=True)
    ids = register(root, people)
    registry = open_in_force(Workspace(root))
    create_store(root, dictionary=data.text("dictionary.tsv"), buckets=2)
    add_records(root, rows_of(ids))
    text = DESCRIPTION.replace("[genome, clinical]", "[clinical, lifestyle, public_record_linkage]")
    project, _ = add_project(root, describe(root, text))
    return ReleaseWorkspace(root, registry, project, ids)
