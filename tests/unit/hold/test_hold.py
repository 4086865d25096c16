"""`baekman hold`: who waits, what a person may decide, and how the gates apply it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from baekman import audit, pseudonyms, watch, withdrawal
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.files.digests import read_sealed, sealed_text
from baekman.hold.decision import decide
from baekman.hold.refusals import Choice
from baekman.intake.return_report import write_return_report
from baekman.qc.delivery import judge_delivery
from baekman.qc.metrics import Metrics, read_metrics, write_metrics
from baekman.qc.thresholds import DEFAULTS
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry, open_registry
from baekman.registry.verdict_history import note_delivery
from baekman.report.verdict_table import write_verdict_table
from baekman.verdicts import Gate, Reason, Verdict, read_verdicts, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.decisions import decisions_in_force, person
from baekman.workspace.identity import identify
from baekman.workspace.paths import DeliveryFolder, Workspace
from support.delivery_builder import INSTITUTION, registration, write_registrations
from support.finished_workspace import write
from typer.testing import CliRunner, Result

LABELS = ("A-1", "A-2", "A-3")
GOOD = {
    "mean_autosome_coverage": 34.0,
    "pct_autosomes_15x": 99.0,
    "pct_autosomes_20x": 97.0,
    "pct_bases_q30": 91.0,
    "pct_reads_duplicated": 8.0,
    "median_insert_size": 410.0,
}
DELIVERY_NAME = "HB-2026-03"


class Site:
    """A workspace with a delivery of three specimens, judged by intake and QC; QC holds the first one."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)

    @property
    def registry(self) -> Registry:
        return open_registry(self.workspace.root)

    @property
    def folder(self) -> DeliveryFolder:
        return self.workspace.delivery(next(self.workspace.deliveries.glob("D*")).name)

    def ids(self, label: str) -> tuple[str, str]:
        """Return the specimen ID and the participant ID of a barcode."""
        record = self.registry.specimen(INSTITUTION, label)
        assert record is not None
        return record.specimen_id, record.participant_id

    def measure(self, label: str, **values: float) -> None:
        specimen_id, participant_id = self.ids(label)
        metrics = Metrics(
            participant_id=participant_id,
            specimen_id=specimen_id,
            registered_sex="female",
            observed_sex="female",
            values=GOOD | values,
            unassessed={"cross_contamination_rate": "no_sites_configured", "identity_concordance": "no_array"},
        )
        path = self.workspace.participant(participant_id).metrics
        path.parent.mkdir(parents=True, exist_ok=True)
        write_metrics(path, metrics)

    def judge(self) -> list[str]:
        """Judge by QC; return the labels of those who go on."""
        accepted = self.folder.accepted
        output = self.folder.verdicts("qc")
        judge_delivery(
            self.workspace, self.folder.id, thresholds=DEFAULTS, gate="enforce", output=output, accepted=accepted
        )
        by_participant = {self.ids(label)[1]: label for label in LABELS}
        return sorted(by_participant[line.split("\t")[0]] for line in accepted.read_text().splitlines())

    def verdict(self, label: str, gate: Gate = "qc") -> Verdict:
        specimen_id, _ = self.ids(label)
        (verdict,) = (v for v in read_verdicts(self.folder.verdicts(gate)) if v.specimen_id == specimen_id)
        return verdict

    def hold_at_intake(self, label: str, *findings: tuple[str, Any]) -> str:
        """Give a specimen another verdict of intake; return its ID."""
        specimen_id, participant_id = self.ids(label)
        reasons = [Reason(code=code, severity=severity, metric="x", observed=1) for code, severity in findings]
        other = Verdict.of(specimen_id=specimen_id, participant_id=participant_id, gate="intake", reasons=reasons)
        kept = [v for v in read_verdicts(self.folder.verdicts("intake")) if v.specimen_id != specimen_id]
        write_verdicts(self.folder.verdicts("intake"), [*kept, other])
        rows = [row for row in specimens.read(self.folder.specimens) if row.specimen_id != specimen_id]
        specimens.write(self.folder.specimens, rows)
        self.judge()
        return specimen_id

    def run(self, *arguments: str) -> Result:
        if not app.registered_groups:
            groups.register(app)
        return CliRunner().invoke(app, ["hold", *arguments, "--workspace", str(self.workspace.root)])

    def refused(self, *arguments: str) -> list[str]:
        """Return the refusals of a command that must be refused, and record nothing."""
        before = list(audit.events(self.workspace.root))
        ran = self.run(*arguments)
        assert isinstance(ran.exception, InputRefused), ran.output
        assert list(audit.events(self.workspace.root)) == before
        return [str(problem) for problem in ran.exception.problems]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hold") / "W"
    workspace = Workspace(root)
    registry, _ = create_registry(root)
    identify(workspace)
    rows = [registration(label, number) for number, label in enumerate(LABELS, start=1)]
    import_registrations(registry, [write_registrations(root.parent / "registration.tsv", rows)])
    folder = workspace.delivery(note_delivery(registry, INSTITUTION, DELIVERY_NAME, "digest")[0])
    site = Site(root)
    folder.path.mkdir(parents=True)
    ids = {label: site.ids(label) for label in LABELS}
    staged = [
        specimens.StagedFiles(
            participant_id=participant_id,
            specimen_id=specimen_id,
            entry="cram",
            lane="L1",
            file_1="x.cram",
            file_2="",
            sex="female",
            array_genotypes="",
        )
        for specimen_id, participant_id in ids.values()
    ]
    specimens.write(folder.specimens, staged)
    verdicts = [
        Verdict.of(specimen_id=specimen_id, participant_id=participant_id, gate="intake", reasons=[])
        for specimen_id, participant_id in ids.values()
    ]
    write_verdicts(folder.verdicts("intake"), verdicts)
    report = {
        "institution": INSTITUTION,
        "delivery": DELIVERY_NAME,
        "receipt": folder.id,
        "received": "2026-11-01",
        "deadline": "2026-11-29",
        "gates": ["intake"],
        "extra_files": [],
        "specimens": [{"specimen": label, "verdict": "accept", "reasons": []} for label in LABELS],
    }
    returned = workspace.returned / "H" / "D" / "return.json"
    returned.parent.mkdir(parents=True)
    returned.write_text(json.dumps(report))
    site.measure("A-1", mean_autosome_coverage=23.5)
    site.measure("A-2")
    site.measure("A-3", mean_autosome_coverage=12.0)
    assert site.judge() == ["A-2"]
    return root


@pytest.fixture
def site(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("BAEKMAN_ACTOR", "kim")
    return Site(Path(shutil.copytree(template, tmp_path / "W")))


WHY = ("--reason", "enough for the parent of a trio")


def test_who_waits_is_listed_without_the_registry(site: Site) -> None:
    specimen, participant = site.ids("A-1")
    shutil.move(site.workspace.registry, site.workspace.root.parent / "away")
    lines = site.run("list").stdout.splitlines()
    assert len(lines) == 2 and lines[1].split()[:4] == [site.folder.id, specimen, participant, "qc"]
    (held,) = json.loads(site.run("list", "--json", "--delivery", site.folder.id).stdout)
    assert (held["specimen"], held["reasons"], held["decided"]) == (specimen, ["low_coverage"], "")
    (shown,) = json.loads(site.run("show", specimen, "--json").stdout)
    assert (shown["verdict"], [verdict["gate"] for verdict in shown["verdicts"]]) == ("hold", ["intake", "qc"])
    assert "low_coverage: mean_autosome_coverage 23.5, expected 30" in site.run("show", specimen).stdout
    assert json.loads(site.run("list", "--json", "--delivery", site.folder.id).stdout) == [held]


def test_an_accepted_specimen_goes_on_from_qc_and_every_report_says_who_when_and_why(site: Site) -> None:
    specimen, participant = site.ids("A-1")
    ran = site.run("accept", specimen, *WHY)
    assert (ran.exit_code, ran.stdout) == (0, f"{specimen}  accepted\n")
    (event,) = (event for event in audit.events(site.workspace.root) if event["action"] == "hold.accept")
    decision = decisions_in_force(site.workspace, site.folder)[specimen]
    assert (event["object"], event["actor"], event["input_hash"]) == (specimen, "kim", decision.digest)
    assert decision.values == read_metrics(site.workspace.participant(participant).metrics).values
    (held,) = json.loads(site.run("list", "--json").stdout)
    assert held["decided"] == "accept"
    assert site.judge() == ["A-1", "A-2"]
    verdict = site.verdict("A-1")
    assert verdict.verdict == "accept" and verdict.decision == decision.made and verdict.failures
    assert json.loads(site.run("list", "--json").stdout) == []
    tsv, html = site.folder.report / "verdicts.tsv", site.folder.report / "verdicts.html"
    write_verdict_table([site.folder.verdicts("intake"), site.folder.verdicts("qc")], tsv=tsv, html=html)
    assert f"kim\t{decision.made.time}\t{WHY[1]}" in tsv.read_text()
    assert WHY[1] in html.read_text() and "(kim)" in html.read_text()
    folder = write_return_report(site.workspace, site.folder.id, registry=site.registry)
    returned = {each["specimen"]: each for each in json.loads((folder / "return.json").read_text())["specimens"]}
    day = decision.made.time[:10]
    assert returned["A-1"]["verdict"] == "accept"
    assert returned["A-1"]["decisions"] == [
        {"gate": "qc", "decision": "accept", "date": day, "reason": WHY[1]},
    ]
    for file in folder.iterdir():
        text = file.read_text()
        assert WHY[1] in text
        assert not any(word in text for word in ("kim", f'"{decision.made.user}"', specimen, participant))


def test_a_rejected_specimen_stays_out_and_waits_no_longer(site: Site) -> None:
    specimen, _ = site.ids("A-1")
    assert site.run("reject", specimen, "--reason", "sequenced again").exit_code == 0
    assert site.judge() == ["A-2"]
    assert site.verdict("A-1").verdict == "reject"
    assert json.loads(site.run("list", "--json").stdout) == []
    output, accepted = site.folder.verdicts("qc"), site.folder.accepted
    judge_delivery(site.workspace, site.folder.id, thresholds=DEFAULTS, gate="report", output=output, accepted=accepted)
    assert site.ids("A-1")[1] not in accepted.read_text()  # in every mode of the gate
    write_return_report(site.workspace, site.folder.id, registry=site.registry)
    (report,) = site.workspace.returned.glob("*/*/return.html")
    assert "sequenced again" in report.read_text()


def test_a_decision_does_not_apply_to_other_values(site: Site) -> None:
    specimen, _ = site.ids("A-1")
    site.run("accept", specimen, *WHY)
    site.measure("A-1", mean_autosome_coverage=23.5, pct_reads_duplicated=9.0)  # other reads
    assert site.judge() == ["A-2"]
    assert [reason.code for reason in site.verdict("A-1").reasons][-1] == "decision_outdated"
    (held,) = json.loads(site.run("list", "--json").stdout)
    assert held["decided"] == ""
    site.measure("A-1", mean_autosome_coverage=24.5)
    (problem,) = site.refused("accept", specimen, *WHY)
    assert (
        "expected the metrics that the QC gate judged, found others, measured since; run `baekman deliver`" in problem
    )
    site.judge()
    assert site.run("accept", specimen, *WHY).exit_code == 0
    assert site.judge() == ["A-1", "A-2"]


def test_a_gate_refuses_a_decision_that_is_not_in_the_log(site: Site) -> None:
    specimen, _ = site.ids("A-1")
    site.run("reject", specimen, *WHY)
    text = site.folder.decisions.read_text()
    content = read_sealed(site.folder.decisions)
    content["decisions"][0]["decision"] = "accept"
    site.folder.decisions.write_text(sealed_text(content))
    with pytest.raises(InputRefused, match="expected the decision that is in the audit log, found another"):
        site.judge()
    site.folder.decisions.write_text(text)
    assert site.judge() == ["A-2"]


def test_a_rejection_needs_override(site: Site) -> None:
    specimen, _ = site.ids("A-3")
    (problem,) = site.refused("accept", specimen, *WHY)
    assert "expected a specimen that no gate rejected, or --override, found low_coverage" in problem
    assert site.run("accept", specimen, *WHY, "--override").exit_code == 0
    assert site.judge() == ["A-2", "A-3"]
    made = site.verdict("A-3").decision
    assert made is not None and made.override


NEVER: list[tuple[list[tuple[str, str]], str]] = [
    ([("no_consent", "reject")], "no person decides on consent and identity"),
    ([("consent_expired", "reject"), ("file_extra", "hold")], "no person decides on consent and identity"),
    ([("participant_withdrawn", "reject")], "no person decides on consent and identity"),
    ([("not_registered", "reject")], "no person decides on consent and identity"),
    ([("specimen_reused", "reject")], "expected --merge or --replace: another delivery brought reads"),
    ([("sample_mismatch", "reject")], "no person decides on identity, with --override neither"),
    ([("identifier_in_header", "reject")], "no person decides on identity, with --override neither"),
    ([("identity_mismatch", "reject")], "no person decides on identity, with --override neither"),
    ([("reads_lost", "hold")], "expected a specimen that can be processed, found reads_lost"),
    ([("not_processed", "hold")], "expected a specimen that can be processed, found not_processed"),
    ([("truncated", "reject")], "expected a specimen that can be processed, found truncated"),
    ([("participant_repeated", "hold")], "expected --counts"),
]


def test_what_no_person_may_accept_is_refused_even_with_override(site: Site) -> None:
    (specimen, _), registry = site.ids("A-2"), site.registry
    for findings, words in NEVER:
        site.hold_at_intake("A-2", *findings)
        choice = Choice(decision="accept", reason=WHY[1], override=True)
        with pytest.raises(InputRefused) as refusal:
            decide(site.workspace, [specimen], choice=choice, made=person("accept", WHY[1]), registry=registry)
        (problem,) = map(str, refusal.value.problems)
        assert words in problem and specimen in problem
    assert not site.folder.decisions.exists()


def test_a_participant_without_consent_now_is_not_accepted(site: Site) -> None:
    specimen, participant = site.ids("A-1")
    root = str(site.workspace.root)
    ran = CliRunner().invoke(app, ["registry", "consent", participant, "--decision", "refused", "--workspace", root])
    assert ran.exit_code == 0, ran.output
    (problem,) = site.refused("accept", specimen, *WHY)
    assert "expected consent to genome sequencing in force, found refused" in problem


def test_a_withdrawn_participant_is_in_no_decision(site: Site) -> None:
    (specimen, participant), (other, _) = site.ids("A-1"), site.ids("A-3")
    site.run("accept", specimen, *WHY)
    site.run("accept", other, *WHY, "--override")
    revision = json.loads(site.folder.decisions.read_text())["revision"]
    withdrawal.withdraw(site.workspace, participant, registry=site.registry)
    text = site.folder.decisions.read_text()
    assert specimen not in text and participant not in text and json.loads(text)["revision"] == revision
    assert site.folder.decisions.stat().st_mode & 0o777 == 0o640
    assert set(decisions_in_force(site.workspace, site.folder)) == {other}
    (problem,) = site.refused("accept", specimen, *WHY)
    assert problem.endswith("found a specimen of a participant who has withdrawn; nothing is left to decide")


def test_a_specimen_that_does_not_wait_is_refused_with_the_next_step(site: Site) -> None:
    unknown = pseudonyms.new("S")
    assert site.refused("accept", unknown, *WHY) == [
        f"{unknown}: expected a specimen with a verdict in a delivery of this workspace, found none; "
        "check the ID and --workspace; `baekman hold list` lists the specimens that wait"
    ]
    for command in (("show", "A-1"), ("accept", "A-1", *WHY), ("reject", "A-1", *WHY)):
        (problem,) = site.refused(*command)
        assert problem.startswith("SPECIMEN: argument 1: expected the pseudonymous ID of a specimen")
        assert "A-1" not in problem
    (problem,) = site.refused("accept", site.ids("A-2")[0], *WHY)
    assert "found one that goes on, is in the cohort, or came again in a later delivery" in problem
    (problem,) = site.refused("reject", site.ids("A-3")[0], *WHY)
    assert "found one that a gate rejected" in problem
    # every problem at once, and nothing is recorded
    assert len(site.refused("accept", site.ids("A-1")[0], unknown, site.ids("A-2")[0], *WHY)) == 2


def test_deciding_twice_changes_nothing_and_another_decision_needs_instead(site: Site) -> None:
    specimen, _ = site.ids("A-1")
    site.run("accept", specimen, *WHY)
    again = site.run("accept", specimen, "--reason", "the same")
    assert (again.exit_code, again.stdout) == (0, "") and "nothing to do" in again.stderr
    (problem,) = site.refused("reject", specimen, *WHY)
    assert f"{specimen}: expected a specimen without a decision, found accept by kim on " in problem
    assert site.run("reject", specimen, *WHY, "--instead").exit_code == 0
    assert site.judge() == ["A-2"]
    (problem,) = site.refused("accept", specimen, *WHY)
    assert "taken on; --instead accepts it after all" in problem
    assert site.run("accept", specimen, *WHY, "--instead").exit_code == 0
    assert site.judge() == ["A-1", "A-2"]


def test_two_people_at_once_make_one_decision(site: Site) -> None:
    specimen, _ = site.ids("A-1")

    def choose(decision: Any) -> bool:
        choice = Choice(decision=decision, reason=WHY[1])
        made = person(decision, WHY[1])
        try:
            return bool(decide(site.workspace, [specimen], choice=choice, made=made, registry=site.registry))
        except InputRefused:
            return False

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(choose, ["accept", "reject"] * 4))
    assert sum(results) == 1
    actions = [event["action"] for event in audit.events(site.workspace.root)]
    assert sum(action.startswith("hold.") for action in actions) == 1
    assert len(decisions_in_force(site.workspace, site.folder)) == 1


TEXTS = [
    ("", "expected a line of text"),
    ("two\nlines", "expected a line of text"),
    ("x" * 501, "expected a line of text"),
    ("as ID says", "without pseudonymous IDs"),
    ("call 010-1234-5678", "found telephone"),
    ("born 850101-2345002", "identifiers of a person"),
    ("A-2 was meant", "found a registered one"),
    ("HB-SUBJECT-003 knows", "found a registered one"),
    ("Zyxbaw Kim says so", "found a registered one"),
    (f"{INSTITUTION} says so", "without the name of an institution"),
    (f"as in {DELIVERY_NAME}", "without the name of an institution or a delivery"),
]


def test_a_reason_has_no_identifier(site: Site) -> None:
    (specimen, participant), registry = site.ids("A-1"), site.registry
    for text, words in TEXTS:
        reason = text.replace("ID", participant)
        choice = Choice(decision="accept", reason=reason)
        with pytest.raises(InputRefused) as refusal:
            decide(site.workspace, [specimen], choice=choice, made=person("accept", reason), registry=registry)
        problems = list(map(str, refusal.value.problems))
        assert any(words in problem for problem in problems), (text, problems)
        assert not any(word in problem for problem in problems for word in reason.split() if len(word) > 4)


def test_the_specimen_that_counts_is_accepted_and_the_other_rejected(site: Site) -> None:
    specimen, participant = site.ids("A-1")
    other = pseudonyms.new("S")
    repeated = Reason(code="participant_repeated", severity="hold", metric="specimens", observed=2, threshold=1)
    verdicts = [
        Verdict.of(specimen_id=each, participant_id=participant, gate="intake", reasons=[repeated])
        for each in (specimen, other)
    ]
    write_verdicts(site.folder.verdicts("intake"), verdicts)
    write_verdicts(site.folder.verdicts("qc"), [])
    assert len(json.loads(site.run("list", "--json").stdout)) == 2
    assert site.refused("accept", specimen, *WHY) != []
    ran = site.run("accept", specimen, *WHY, "--counts")
    assert ran.stdout == f"{specimen}  accepted (counts)\n{other}  rejected\n"
    force = decisions_in_force(site.workspace, site.folder)
    assert [(force[each].made.decision, force[each].made.counts) for each in (specimen, other)] == [
        ("accept", True),
        ("reject", False),
    ]


def test_reads_that_came_again_are_merged_or_replace_the_earlier_ones(site: Site) -> None:
    specimen, participant = site.ids("A-1")
    later = site.workspace.delivery(note_delivery(site.registry, INSTITUTION, "HB-2026-04", "other")[0])
    reused = Reason(code="specimen_reused", severity="reject", metric="deliveries", observed=2, threshold=1)
    verdict = Verdict.of(specimen_id=specimen, participant_id=participant, gate="intake", reasons=[reused])
    write_verdicts(later.verdicts("intake"), [verdict])
    words = "expected --merge or --replace: another delivery brought reads of the participant, found neither"
    (problem,) = site.refused("accept", specimen, *WHY, "--delivery", later.id)
    assert words in problem
    # it is listed, though it is rejected and does not wait
    listed = site.run("list", "--delivery", later.id)
    assert "specimen_reused (rejected; --merge or --replace takes it)" in listed.stdout
    (entry,) = json.loads(site.run("list", "--json", "--delivery", later.id).stdout)
    assert (entry["verdict"], entry["specimen"], entry["decided"]) == ("reject", specimen, "")
    (problem,) = site.refused("accept", specimen, *WHY, "--merge", "--replace")
    assert "expected --merge or --replace, found both" in problem
    (problem,) = site.refused("accept", specimen, *WHY, "--merge")
    assert "expected an alignment of the earlier reads to merge with" in problem and "use --replace" in problem
    write(site.workspace.participant(participant).cram, b"reads")
    assert site.run("accept", specimen, *WHY, "--merge").stdout == f"{specimen}  accepted (merge)\n"
    (problem,) = site.refused("accept", specimen, *WHY, "--replace")
    assert "--instead replaces the decision" in problem
    assert site.run("accept", specimen, *WHY, "--replace", "--instead").exit_code == 0
    assert decisions_in_force(site.workspace, later)[specimen].made.reads == "replace"
    (entry,) = json.loads(site.run("list", "--json", "--delivery", later.id).stdout)
    assert entry["decided"] == "accept"
    (problem,) = site.refused("accept", site.ids("A-3")[0], *WHY, "--override", "--merge")
    assert "found none; leave --merge out" in problem


def test_a_decision_lets_a_watch_deliver_again_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "inbox" / "first"
    folder.mkdir(parents=True)
    for name in ("delivery.yaml", "manifest.tsv"):
        (folder / name).touch()
    write(site.folder.run_manifest, b"{}")
    monkeypatch.setattr(watch, "received_id", lambda folder, *, workspace: site.folder.id)
    monkeypatch.setattr(watch, "reason_to_wait", lambda folder, *, quiet_seconds: None)
    delivered: list[int] = []
    looks: list[list[int]] = []

    class Done(Exception):
        pass

    def deliver(folder: Path) -> bool:
        delivered.append(len(looks))
        return True

    def between_looks(seconds: float) -> None:
        looks.append(list(delivered))
        if len(looks) == 1:
            assert site.run("accept", site.ids("A-1")[0], *WHY).exit_code == 0
        elif len(looks) == 3:
            assert site.judge() == ["A-1", "A-2"]
        elif len(looks) == 4:
            assert site.run("accept", site.ids("A-3")[0], *WHY, "--override").exit_code == 0
        elif len(looks) == 6:
            raise Done

    monkeypatch.setattr(watch.time, "sleep", between_looks)
    calls = watch.Calls(deliver=deliver, refuse=lambda refusal, _: pytest.fail(str(refusal)))
    with pytest.raises(Done):
        watch.watch(folder.parent, workspace=site.workspace, calls=calls)
    assert looks == [[], [1], [1], [1], [1, 4], [1, 4]]  # once, whether the run takes the decision on or not


def test_the_list_may_be_cut_by_head(site: Site) -> None:
    ids = [(pseudonyms.new("S"), pseudonyms.new("P")) for _ in range(4000)]
    reason = Reason(code="file_extra", severity="hold")
    held = [Verdict.of(specimen_id=s, participant_id=p, gate="intake", reasons=[reason]) for s, p in ids]
    write_verdicts(site.folder.verdicts("intake"), held)
    for option in ("", "--json"):
        program = "import sys; from baekman.cli import main; main()"
        command = f"{sys.executable} -c '{program}' hold list {option} --workspace {site.workspace.root} | head -n 1"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env={**os.environ}, check=False)
        assert (len(done.stdout.splitlines()), done.stderr) == (1, "")
