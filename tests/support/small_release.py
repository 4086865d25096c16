"""A small workspace with registry, cohort, records, a project and its board, and a release that is proposed in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import yaml
from baekman.cohort.add import add_batch as add_cohort_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store as create_cohort
from baekman.engine.local import Engine
from baekman.records.batch import add_batch as add_record_batch
from baekman.records.schema import COVERAGE, EVENTS
from baekman.records.store import create_store as create_records
from baekman.registry.denied_list import open_in_force
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry
from baekman.releases.home import ReleaseHome
from baekman.releases.propose import propose
from baekman.workspace.identity import identify
from baekman.workspace.paths import Workspace
from support import record_batches
from support.projects import Board, make_board
from support.registrations import table as registration_table
from support.store_tools import block, gvcf_text, line, write_reference

BASES = "ACGT" * 30
CODES = ("KCD8/E119", "LOINC/8480-6", "SURVEY/*")  # the last are of a scope that the project does not ask for
PEOPLE = 24


@dataclass
class SmallRelease:
    """The workspace ``folder/W`` with its open ``registry``; ``participants`` are in the order of registration."""

    folder: Path
    registry: Registry
    board: Board
    participants: list[str]

    @property
    def workspace(self) -> Path:
        """The folder of the workspace."""
        return self.folder / "W"

    def request(self, **changes: object) -> Path:
        """Write a request for everything in the tier ``room``, with ``changes``; return its path."""
        content = {
            "project": self.board.project.id,
            "tier": "room",
            "who": "SELECT participant_id FROM participants",
            "codes": list(CODES),
            "regions": ["c1"],
            **changes,
        }
        path = self.folder / "request.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    def propose(self, **changes: object) -> ReleaseHome:
        """Propose a release."""
        return propose(self.workspace, self.request(**changes), registry=self.registry)[0]

    def approve(self, home: ReleaseHome) -> ReleaseHome:
        """Let both reviewers approve the plan of a release; return it."""
        seen = home.read_plan().hash
        for key in (self.board.irb, self.board.drb):
            self.board.decide(key, release=home.id, seen=seen)
        return home


def small_release(folder: Path, *, people: int = PEOPLE) -> SmallRelease:
    """Make the workspace: everyone is sequenced and has records; each allele is carried by some of them."""
    workspace = folder / "W"
    workspace.mkdir(parents=True)
    registry, _ = create_registry(workspace)
    rows = [
        f"병원{number % 2}\tBAR-{number:04}\tSUBJ-{number}\tgeneral\t{'female' if number % 2 else 'male'}\tgranted"
        f"\t2025-01-01\t\tgenome,clinical,lifestyle\t{1950 + number}\t\t\t"
        for number in range(people)
    ]
    import_registrations(registry, [registration_table(folder, *rows)])
    participants = []
    for number in range(people):
        record = registry.specimen(f"병원{number % 2}", f"BAR-{number:04}")
        assert record is not None
        participants.append(record.participant_id)
    identify(Workspace(workspace))
    _add_cohort(folder, participants)
    _add_records(workspace, participants)
    return SmallRelease(folder, open_in_force(Workspace(workspace)), make_board(folder), participants)


def _add_cohort(folder: Path, participants: list[str]) -> None:
    reference = write_reference(folder / "ref.fa", {"c1": BASES})
    store = create_cohort(folder / "W" / "cohort", reference=reference)
    members = []
    for number, participant in enumerate(participants):
        own, shared = 5 + 4 * (number % 20), 101 + 4 * (number % 3)
        lines = [
            block(1, own - 1, "A"),
            line(own, "A", "G", "0/1:40:22:11,11:45,0,42"),
            block(own + 1, shared - 1, BASES[own]),
            line(shared, "A", "C", "1/1:50:30:0,30:600,60,0"),
        ]
        path = folder / f"{number}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={"c1": len(BASES)}))
        members.append(Member(participant_id=participant, gvcf=str(path), sex="female" if number % 2 else "male"))
    add_cohort_batch(store, batch="b1", members=members)


def _pressure(number: int) -> float:
    """Return a number that nobody else has: twelve people are below 110, and twelve above 120."""
    return (121.0 if number % 2 else 101.0) + number * 0.25


def _add_records(workspace: Path, participants: list[str]) -> None:
    # every code may be in every tier
    dictionary = record_batches.DICTIONARY.replace("\troom\t", "\topen\t")
    store = create_records(workspace, dictionary=dictionary, buckets=2)
    events, coverage = [], []
    for number, participant in enumerate(participants):
        day = record_batches.day(10 * number)
        events += [
            record_batches.event(participant, "claims", day),
            record_batches.event(
                participant, "claims", record_batches.day(10 * number + 7), "LOINC/8480-6", _pressure(number)
            ),
            record_batches.event(participant, "survey", day, "SURVEY/sleep_hours", 5.0 + number % 3),
        ]
        coverage += [(participant, source, date(2015, 1, 1), date(2019, 1, 1)) for source in ("claims", "survey")]
    add_record_batch(
        store,
        name="r1",
        as_of=datetime(2020, 1, 1),
        events=record_batches.table(events, EVENTS).to_batches(),
        coverage=record_batches.table(coverage, COVERAGE).to_batches(),
        engine=Engine(),
    )
