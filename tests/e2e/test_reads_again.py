"""Reads that come again in a later delivery: a person lets them be merged with the earlier ones, or replace them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from baekman import audit, withdrawal
from baekman.align.aligners import Aligner
from baekman.align.cram import count_reads, last_lane
from baekman.align.participant import AlignmentOptions, align_participant
from baekman.cohort.snapshot import read_sites, read_snapshot
from baekman.cohort.store import create_store
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.files.sidecar import write_checked
from baekman.hold.decision import decide
from baekman.hold.refusals import Choice
from baekman.intake.receive import receive
from baekman.intake.reception import ReceivedDelivery
from baekman.registry.records import Registry
from baekman.registry.verdict_history import record_verdicts
from baekman.steps import CohortSettings, add_delivery
from baekman.verdicts import Reason, Verdict, read_verdicts, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.current_reads import CurrentReads, read_current
from baekman.workspace.decisions import decisions_in_force, person
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import waiting_in
from support.delivery_builder import (
    INSTITUTION,
    DeliveryBuilder,
    codes,
    gvcf_text,
    make_workspace,
    registration,
    simple_delivery,
    write_gvcf,
    write_reference,
)
from support.kills import killed_before
from support.pages import Reader

WHY = "the library was sequenced again"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_reference(tmp_path_factory.mktemp("reference"))
    Aligner(name="bwa", reference=path).write_index()
    return path


class Site:
    """A workspace whose first delivery brought a specimen through."""

    def __init__(self, folder: Path, reference: Path) -> None:
        self.folder, self.genome = folder, reference
        self.workspace = Workspace(folder / "W")
        self.registry: Registry = make_workspace(
            self.workspace.root, reference, [registration("A-1", 1), registration("B-1", 1)]
        )
        self.first = self.receive("D-1", seed=5)
        self.align(self.first)
        record = self.registry.specimen(INSTITUTION, "A-1")
        assert record is not None
        self.specimen, self.participant = record.specimen_id, record.participant_id
        self.files = self.workspace.participant(self.participant)

    def receive(self, name: str, *, seed: int, label: str = "A-1") -> ReceivedDelivery:
        place = self.folder / name
        if not place.exists():
            simple_delivery(place, self.genome, label, name=name, seed=seed)
        return receive(place, workspace=self.workspace)

    def align(self, received: ReceivedDelivery) -> None:
        """Do the job of the alignment of the delivery's only participant, and let QC accept it."""
        home = self.workspace.delivery(received.delivery_id)
        (verdict,) = received.verdicts
        cram = self.workspace.participant(str(verdict.participant_id)).cram
        options = AlignmentOptions(aligner="bwa", accepts_aligned=False, threads=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.workspace.root)  # as a job does
            align_participant(
                Workspace(Path()).delivery(home.id),
                str(verdict.participant_id),
                reference=self.genome,
                options=options,
                output=cram,
                metrics=cram.with_name("markdup.txt"),
            )
        accepted = Verdict.of(
            specimen_id=verdict.specimen_id, participant_id=verdict.participant_id, gate="qc", reasons=[]
        )
        write_verdicts(home.verdicts("qc"), [accepted])
        record_verdicts(self.registry, home.id, [accepted])

    def accept(self, reads: str) -> None:
        choice = Choice(decision="accept", reason=WHY, reads=reads)  # type: ignore[arg-type]
        decide(
            self.workspace,
            [self.specimen],
            choice=choice,
            made=person("accept", WHY, reads=reads),  # type: ignore[arg-type]
            registry=self.registry,
        )


@pytest.fixture
def site(tmp_path: Path, reference: Path) -> Site:
    return Site(tmp_path, reference)


def lanes(site: Site, received: ReceivedDelivery) -> list[str]:
    return [row.lane for row in specimens.read(site.workspace.delivery(received.delivery_id).specimens)]


@pytest.mark.parametrize("reads", ["merge", "replace"])
def test_reads_that_come_again_wait_for_a_person_and_then_count(site: Site, reads: str) -> None:
    earlier = site.files.cram.read_bytes()
    second = site.receive("D-2", seed=9)
    assert codes(second) == [("reject", ["specimen_reused"])]
    assert specimens.superseded_in(site.workspace, second.delivery_id) == frozenset()
    site.accept(reads)
    taken_on = site.receive("D-2", seed=9)
    assert (taken_on.status, codes(taken_on)) == ("again", [("accept", ["specimen_reused"])])
    (verdict,) = read_verdicts(site.workspace.delivery(second.delivery_id).verdicts("intake"))
    assert verdict.decision is not None and (verdict.decision.reads, verdict.decision.reason) == (reads, WHY)
    report = json.loads((taken_on.report / "return.json").read_text())
    assert report["specimens"][0]["decisions"][0]["reason"] == WHY
    site.align(taken_on)
    count = count_reads(site.files.cram)
    if reads == "merge":
        assert read_current(site.files) == CurrentReads(delivery=second.delivery_id, use="merge", earlier=40)
        assert (lanes(site, taken_on), count, last_lane(site.files.cram)) == (["L2"], 80, 2)
        assert site.files.earlier_cram.read_bytes() == earlier
    else:
        assert read_current(site.files) == CurrentReads(delivery=second.delivery_id, use="replace")
        assert (lanes(site, taken_on), count, site.files.earlier_cram.exists()) == (["L1"], 40, False)
    # from here on both deliveries are done, and the first has no more jobs on the participant
    assert [site.receive(name, seed=seed).status for name, seed in (("D-1", 5), ("D-2", 9))] == ["same", "same"]
    assert specimens.superseded_in(site.workspace, site.first.delivery_id) == {site.participant}
    # reads of a third delivery need a decision again; they are merged with all that are there
    assert codes(site.receive("D-3", seed=11)) == [("reject", ["specimen_reused"])]
    site.accept("merge")
    third = site.receive("D-3", seed=11)
    assert lanes(site, third) == (["L3"] if reads == "merge" else ["L2"])
    site.align(third)
    assert count_reads(site.files.cram) == count + 40
    actions = [event["action"] for event in audit.events(site.workspace.root)]
    assert actions.count("hold.accept") == 2


@pytest.mark.cluster
def test_the_page_on_operating_merges_a_lane_that_was_added(site: Site) -> None:
    place = simple_delivery(site.folder / "inbox" / "2026-12", site.genome, "A-1", name="D-2", seed=9)
    assert codes(receive(place, workspace=site.workspace)) == [("reject", ["specimen_reused"])]
    reader = Reader(site.folder, names={"S…": site.specimen}, has_time=True)
    reader.read("operating.md", only="baekman hold show S… --workspace W\nbaekman hold accept S… --merge")
    assert (count_reads(site.files.cram), last_lane(site.files.cram)) == (80, 2)


def test_another_specimen_of_the_participant_waits_for_a_person(site: Site) -> None:
    received = site.receive("D-2", seed=9, label="B-1")
    home = site.workspace.delivery(received.delivery_id)
    assert codes(received) == [("hold", ["participant_repeated"])]
    (waiting,) = waiting_in(home, read_verdicts(home.verdicts("intake")))
    site.specimen = waiting.specimen
    with pytest.raises(InputRefused, match="expected --merge or --replace"):
        site.accept("")
    site.accept("merge")
    taken_on = site.receive("D-2", seed=9, label="B-1")
    assert (codes(taken_on), lanes(site, taken_on)) == ([("accept", ["participant_repeated"])], ["L2"])
    site.align(taken_on)
    assert count_reads(site.files.cram) == 80
    assert list(waiting_in(home, read_verdicts(home.verdicts("intake")))) == []


def test_a_kill_while_the_decision_is_taken_on_loses_no_read(site: Site, tmp_path: Path) -> None:
    earlier = site.files.cram.read_bytes()
    second = site.receive("D-2", seed=9)
    site.accept("merge")
    step, was_killed = 1, True
    while was_killed:
        root = tmp_path / f"copy{step}"
        shutil.copytree(site.workspace.root, root)
        workspace = Workspace(root)
        was_killed = killed_before(step, lambda workspace=workspace: receive(tmp_path / "D-2", workspace=workspace))
        files = workspace.participant(site.participant)
        assert files.cram.read_bytes() == earlier
        received = receive(tmp_path / "D-2", workspace=workspace)
        assert codes(received) == [("accept", ["specimen_reused"])], f"killed before effect {step}"
        home = workspace.delivery(second.delivery_id)
        (row,) = specimens.read(home.specimens)
        assert row.lane == "L2" and all((root / file).is_file() for file in row.files), f"killed before effect {step}"
        assert read_current(files) == CurrentReads(delivery=second.delivery_id, use="merge", earlier=40)
        assert files.earlier_cram.read_bytes() == earlier
        shutil.rmtree(root)
        step += 17
    assert step > 60


def test_a_later_decision_on_qc_keeps_the_decision_on_the_reads(site: Site) -> None:
    site.receive("D-2", seed=9)
    site.accept("merge")
    taken_on = site.receive("D-2", seed=9)
    home = site.workspace.delivery(taken_on.delivery_id)
    before = decisions_in_force(site.workspace, home)
    site.accept("merge")  # nothing is left to decide
    assert decisions_in_force(site.workspace, home) == before
    with pytest.raises(InputRefused, match=r"found accept, merge by .* taken on"):
        site.accept("replace")
    low = Reason(code="low_coverage", severity="hold", metric="mean_autosome_coverage", observed=9.0, threshold=15)
    held = Verdict.of(specimen_id=site.specimen, participant_id=site.participant, gate="qc", reasons=[low])
    write_verdicts(home.verdicts("qc"), [held])
    site.accept("")
    made = decisions_in_force(site.workspace, home)[site.specimen]
    assert (made.made.reads, {verdict.gate for verdict in made.seen}) == ("merge", {"qc", "intake"})
    again = receive(site.folder / "D-2", workspace=site.workspace, again=True)
    assert codes(again) == [("accept", ["specimen_reused"])] and lanes(site, again) == ["L2"]
    # a note that is lost loses no reads in silence
    site.files.reads.unlink()
    with pytest.raises(InputRefused, match="expected the note of the reads that are merged, found none"):
        site.align(again)


def test_a_withdrawal_removes_the_earlier_reads_too(site: Site) -> None:
    site.receive("D-2", seed=9)
    site.accept("merge")
    site.align(site.receive("D-2", seed=9))
    withdrawal.withdraw(site.workspace, site.participant, registry=site.registry)
    assert not site.files.path.exists()
    assert not list(site.workspace.deliveries.glob(f"*/staged/{site.participant}"))


def test_a_gvcf_is_not_merged_with_reads(site: Site) -> None:
    site.receive("D-2", seed=9)
    site.accept("merge")
    site.files.cram.unlink()
    (verdict,) = site.receive("D-2", seed=9).verdicts
    assert {reason.code for reason in verdict.failures} == {"specimen_reused", "entries_mixed"}
    assert verdict.verdict == "reject" and not site.files.reads.exists()


def test_a_gvcf_that_comes_again_replaces_the_one_in_the_cohort_by_a_decision(tmp_path: Path, reference: Path) -> None:
    """A whole delivery without a tool: received, added, received again, accepted with --replace, replaced."""
    workspace = Workspace(tmp_path / "W")
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1)])
    cohort = create_store(workspace.cohort, reference=reference)

    def received(name: str, call: str) -> ReceivedDelivery:
        if not (tmp_path / name).exists():
            builder = DeliveryBuilder(tmp_path / name, reference, name=name)
            text = gvcf_text(reference, sample="A-1").replace("0/1:99", f"{call}:99")
            write_gvcf(builder.folder / "a.g.vcf.gz", text)
            builder.add("A-1", "a.g.vcf.gz", "gvcf")
            builder.finish()
        return receive(tmp_path / name, workspace=workspace)

    def added(delivery: ReceivedDelivery) -> tuple[int, list[int]]:
        """Add the staged gVCF as the job of the cohort does; return the number of the snapshot and the AC of sites."""
        home = workspace.delivery(delivery.delivery_id)
        (row,) = specimens.read(home.specimens)
        line = f"{row.participant_id}\t{workspace.root / row.file_1}\tfemale\n"
        write_checked(home.accepted, line)
        settings = CohortSettings(reference=reference, shards=tmp_path / "shards.tsv", thresholds={}, filters={})
        engine = Engine()
        add_delivery(workspace, home.id, accepted=home.accepted, settings=settings, engine=engine, output=home.batch)
        latest = read_snapshot(cohort)
        return latest.number, read_sites(cohort, latest, 0)["ac_raw"].to_pylist()

    first = received("D-1", "0/1")
    (verdict,) = first.verdicts
    record_verdicts(registry, first.delivery_id, [Verdict.of(**_of(verdict), gate="qc", reasons=[])])
    assert added(first) == (1, [1])
    second = received("D-2", "1/1")
    assert codes(second) == [("reject", ["specimen_reused"])]
    choice = Choice(decision="accept", reason=WHY, reads="replace")
    made = person("accept", WHY, reads="replace")
    decide(workspace, [verdict.specimen_id], choice=choice, made=made, registry=registry)
    taken_on = received("D-2", "1/1")
    assert codes(taken_on) == [("accept", ["specimen_reused"])]
    files = workspace.participant(str(verdict.participant_id))
    assert read_current(files) == CurrentReads(delivery=second.delivery_id, use="replace")
    assert added(taken_on) == (2, [2])
    batch = json.loads(workspace.delivery(second.delivery_id).batch.read_text())
    assert batch["replaced"] == batch["participants"] == [verdict.participant_id]
    assert added(taken_on) == (2, [2])  # the same job again


def _of(verdict: Verdict) -> dict[str, Any]:
    return {"specimen_id": verdict.specimen_id, "participant_id": verdict.participant_id}
