"""The checks of a plan, each where it passes and where it does not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from baekman.arrow import write_parquet
from baekman.consent import ConsentEvent, Decision, Scope
from baekman.errors import InputRefused
from baekman.qc.gate import judge
from baekman.qc.metrics import Metrics, write_metrics
from baekman.qc.thresholds import load_thresholds
from baekman.releases import planning, transform
from baekman.releases.admission import Member, admitted, until_majority
from baekman.releases.checks import order
from baekman.releases.checks.linkage import linkage
from baekman.releases.checks.people import consent, difference_to_earlier
from baekman.releases.checks.proposal import Proposal
from baekman.releases.checks.relatives import relatives
from baekman.releases.checks.rows import anonymity, columns, dates, rare_codes
from baekman.releases.checks.sequencing import sequencing
from baekman.releases.families import family_of
from baekman.releases.home import ReleaseHome
from baekman.releases.linkage import OtherRecords, joined
from baekman.releases.members import Members, difference, write_members
from baekman.releases.plan import Check, Plan
from baekman.releases.rows import MemberRows
from baekman.releases.transform import event_rows
from baekman.workspace.paths import Workspace
from support.release_workspace import SCOPES, ReleaseWorkspace, make_workspace

RELEASE = "R0000000000000"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> ReleaseWorkspace:
    return make_workspace(tmp_path_factory.mktemp("checks") / "W", people=40)


@pytest.fixture(scope="module")
def proposal(place: ReleaseWorkspace) -> Proposal:
    """Return the proposal of a release of everybody in the room."""
    caught: list[Proposal] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "run_checks", lambda proposal: caught.append(proposal) or order.run_checks(proposal))
        home, _ = place.propose()
    members = replace(caught[0].source.rows.members, file=home.members)
    return with_rows(caught[0], replace(caught[0].source.rows, members=members))


def with_rows(proposal: Proposal, rows: MemberRows) -> Proposal:
    return replace(proposal, source=replace(proposal.source, rows=rows))


def asking(proposal: Proposal, **keys: Any) -> Proposal:
    return replace(proposal, source=replace(proposal.source, request=replace(proposal.source.request, **keys)))


def of(function: Callable[[Proposal], Iterator[Check]], proposal: Proposal, code: str) -> Check:
    return next(check for check in function(proposal) if check.code == code)


def released(
    proposal: Proposal, folder: Path, people: Sequence[str], *, tier: str = "low_risk", project: str = ""
) -> ReleaseHome:
    """Make a release of ``people`` that may be outside."""
    home = ReleaseHome(folder / RELEASE)
    home.package.mkdir(parents=True)
    chosen = [("00", [Member(participant_id=person) for person in sorted(people)])]
    write_members(home.members, chosen, release=RELEASE, ring=proposal.ring)
    request = {**proposal.source.request.to_json(), "tier": tier, "project": project or proposal.project.id}
    plan = Plan(request=request, request_hash="", snapshots={}, members=len(people), members_hash="")
    home.plan.write_text(plan.text, encoding="utf-8")
    return home


# -- 1


def test_consent_and_purpose_pass_for_members_with_consent(proposal: Proposal) -> None:
    assert [check.verdict for check in consent(proposal)] == ["pass"] * 3
    assert of(consent, proposal, "purpose").observed == "DUO:0000007"


def test_a_member_without_any_consent_fails(proposal: Proposal, tmp_path: Path) -> None:
    scopes = tuple(sorted(scope.value for scope in proposal.project.scopes))
    members = [("00", [Member(participant_id="P1", denied=scopes), Member(participant_id="P2")])]
    write_members(tmp_path / "members", members, release=RELEASE, ring=proposal.ring)
    rows = replace(proposal.source.rows, members=Members(tmp_path / "members", RELEASE, proposal.ring))
    assert of(consent, with_rows(proposal, rows), "consent") == Check(
        code="consent", observed=1, limit=0, verdict="fail"
    )


@pytest.mark.parametrize("term", ["DUO:0000011", "DUO:0000033", "DUO:0000042"])
def test_a_purpose_that_the_consent_does_not_cover_fails(proposal: Proposal, term: str) -> None:
    changed = replace(proposal, project=replace(proposal.project, purpose=("DUO:0000006", term)))
    assert of(consent, changed, "purpose") == Check(code="purpose", observed=term, limit="DUO:0000006", verdict="fail")


@pytest.mark.parametrize(
    ("count", "tier", "verdict"), [(0, "room", "fail"), (10, "room", "told"), (10, "open", "fail")]
)
def test_too_few_members(proposal: Proposal, count: int, tier: Any, verdict: str) -> None:
    changed = asking(replace(proposal, written=replace(proposal.written, count=count)), tier=tier)
    assert of(consent, changed, "members").verdict == verdict


def test_commercial_and_overseas_use_need_consent_of_each_member(place: ReleaseWorkspace) -> None:
    def members(*uses: Scope) -> list[str]:
        day = date(2026, 1, 1)
        chosen = admitted(place.registry, place.people[:3], scopes=SCOPES, uses=uses, at=day)
        return [member.participant_id for member in chosen]

    assert members() == sorted(place.people[:3])
    assert members(Scope.COMMERCIAL_USE) == members(Scope.OVERSEAS_USE) == []
    for person, scope in zip(place.people, (Scope.COMMERCIAL_USE, Scope.OVERSEAS_USE), strict=False):
        place.registry.add_consent(
            ConsentEvent(participant_id=person, decision=Decision.GRANTED, scopes=(scope,), valid_from=date(2025, 2, 1))
        )
    assert members(Scope.COMMERCIAL_USE) == [place.people[0]]
    assert members(Scope.OVERSEAS_USE) == [place.people[1]]
    assert members(Scope.COMMERCIAL_USE, Scope.OVERSEAS_USE) == []


def test_the_consent_of_a_minor_ends_before_majority() -> None:
    given = ConsentEvent(
        participant_id="P1", decision=Decision.GRANTED, scopes=(Scope.CLINICAL,), valid_from=date(2020, 5, 1)
    )
    own = replace(given, valid_from=date(2027, 3, 1))
    refused = replace(given, decision=Decision.REFUSED)
    ended = replace(given, valid_to=date(2025, 12, 31))
    assert until_majority([given, own, refused], birth_year=2007) == [ended, own, refused]
    assert until_majority([given], birth_year=1990) == [given] == until_majority([given], birth_year=None)


# -- 3, 4, 5, 6


def test_columns_outside_dictionary_tier_or_scope_fail(proposal: Proposal) -> None:
    assert of(columns, proposal, "columns") == Check(code="columns", observed=0, limit=0)
    choice = replace(proposal.source.choice, unknown=("A/1",), beyond=("B/1", "B/2"))
    changed = replace(proposal, source=replace(proposal.source, choice=choice))
    assert of(columns, changed, "columns") == Check(code="columns", observed=3, limit=0, verdict="fail")


@pytest.mark.parametrize(("smallest", "verdict"), [(None, "pass"), (11, "pass"), (10, "fail"), (0, "fail")])
def test_k_below_eleven_fails(proposal: Proposal, smallest: int | None, verdict: str) -> None:
    assert of(anonymity, replace(proposal, smallest=smallest), "k").verdict == verdict


@pytest.mark.parametrize(("people", "verdict"), [({}, "pass"), ({"A/1": 11}, "pass"), ({"A/1": 10, "A/2": 50}, "fail")])
def test_a_released_code_of_fewer_than_eleven_fails(proposal: Proposal, people: dict[str, int], verdict: str) -> None:
    changed = replace(proposal, rules=replace(proposal.rules, people=people))
    assert of(rare_codes, changed, "rare_codes").verdict == verdict


def test_narrow_bands_of_birth_fail_and_small_ones_are_shown(proposal: Proposal) -> None:
    assert [check.verdict for check in dates(proposal)] == ["pass", "pass", "pass"]
    narrow = replace(proposal, rules=replace(proposal.rules, birth_years=1))
    assert of(dates, narrow, "birth_years") == Check(code="birth_years", observed=1, limit=5, verdict="fail")
    small = replace(proposal, totals=replace(proposal.totals, births=Counter({"1950-1954": 3})))
    assert of(dates, small, "birth_band") == Check(code="birth_band", observed=3, limit=11, verdict="told")


def test_offsets_that_the_ends_of_coverage_leave_open_are_counted(
    proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is covered by claims from one day: who knows the day knows one of 61 offsets."""
    assert of(dates, proposal, "offsets") == Check(code="offsets", observed=61, limit=11)
    monkeypatch.setattr(transform, "ALIKE", 6)
    assert of(dates, proposal, "offsets") == Check(code="offsets", observed=6, limit=11, verdict="fail")
    assert [check.code for check in dates(asking(proposal, tier="low_risk"))] == ["birth_years"]


# -- 7


@pytest.mark.parametrize(("left", "verdict"), [(0, "pass"), (1, "fail"), (10, "fail"), (11, "pass")])
def test_a_difference_of_few_members_to_an_earlier_release_fails(
    proposal: Proposal, place: ReleaseWorkspace, tmp_path: Path, left: int, verdict: str
) -> None:
    """Two counts over members that differ by one person are the data of this person."""
    home = released(proposal, tmp_path, place.people[left:])
    changed = asking(replace(proposal, others={home.id: home}), tier="open")
    found = of(difference_to_earlier, changed, "difference")
    assert (found.observed, found.limit, found.verdict) == (left or None, 11, verdict)


def test_a_release_of_other_people_or_in_the_room_is_not_compared(
    proposal: Proposal, place: ReleaseWorkspace, tmp_path: Path
) -> None:
    others = released(proposal, tmp_path / "a", ["P1", "P2"])
    room = released(proposal, tmp_path / "b", place.people[1:], tier="room")
    for home in (others, room):
        changed = asking(replace(proposal, others={home.id: home}), tier="open")
        assert of(difference_to_earlier, changed, "difference") == Check(code="difference", limit=11)
    home = released(proposal, tmp_path / "c", place.people[1:])
    assert of(difference_to_earlier, replace(proposal, others={home.id: home}), "difference").verdict == "pass"


def test_differences_are_those_of_sets() -> None:
    draw = random.Random(5)
    for _ in range(20):
        first, second = ({f"P{draw.randrange(30)}" for _ in range(20)} for _ in range(2))
        assert difference(sorted(first), sorted(second)) == (len(first ^ second), len(first & second))


# -- 8


def test_relatives_are_reported(proposal: Proposal, place: ReleaseWorkspace) -> None:
    assert of(relatives, proposal, "relatives") == Check(
        code="relatives", observed="not known", limit=0, verdict="told"
    )
    file = Workspace(place.root).releases / "relatedness.kin0"
    first, second, third, fourth = place.people[:4]
    rows = [(first, second, 0.25), (second, third, 0.05), (third, fourth, 0.01)]
    lines = ["#IID1\tIID2\tNSNP\tKINSHIP", *(f"{one}\t{other}\t1000\t{value}" for one, other, value in rows)]
    try:
        file.write_text("\n".join(lines[:1]) + "\n", encoding="utf-8")
        assert of(relatives, proposal, "relatives").verdict == "pass"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        assert of(relatives, proposal, "relatives") == Check(code="relatives", observed=1, limit=0, verdict="told")
        assert set(family_of(place.root)) == {first, second, third}
        file.write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
        assert of(relatives, proposal, "relatives").observed == 1
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        assert set(family_of(place.root).values()) == {min(first, second, third)}
    finally:
        file.unlink()


# -- 9


def test_members_with_their_records_in_another_project_are_joined_by_content(
    proposal: Proposal, place: ReleaseWorkspace, tmp_path: Path
) -> None:
    """New IDs and offsets hide nobody with codes on days that nobody else has: reviewers see the share."""
    assert of(linkage, proposal, "linkage") == Check(code="linkage", observed=0.0, limit=0)
    home = released(proposal, tmp_path, place.people, tier="room", project="J0000000000000")
    write_records(proposal, home, place.people)
    changed = replace(proposal, others={home.id: home})
    told = of(linkage, changed, "linkage")
    assert told.verdict == "told" and isinstance(told.observed, float) and told.observed > 0.9
    same = replace(changed, project=replace(changed.project, id="J0000000000000"))
    assert of(linkage, same, "linkage").verdict == "pass"


@pytest.mark.parametrize(("ours", "theirs"), [("aab", "ab"), ("ab", "aab"), ("aab", "aab")])
def test_who_equals_somebody_else_cannot_be_joined(tmp_path: Path, ours: str, theirs: str) -> None:
    """A letter is a person with events on these days; two of one letter are alike, here or there."""

    def rows(people: str, *, person: str, shift: int) -> pa.Table:
        days = [(str(number), ord(kind) * after + shift) for number, kind in enumerate(people) for after in (0, 1)]
        times = pa.array([datetime(2020, 1, 1) + timedelta(days=day) for _, day in days], pa.timestamp("us"))
        codes = pa.array(["KCD8/E119"] * len(days))
        return pa.table({person: [number for number, _ in days], "time": times, "code": codes})

    (tmp_path / "records").mkdir()
    write_parquet(rows(theirs, person="project_id", shift=9), tmp_path / "records" / "00.parquet")
    other = OtherRecords.of(tmp_path)
    assert other is not None
    assert joined([rows(ours, person="participant_id", shift=0)], [other], codes=["KCD8/E119"]) == [1]


def test_rows_of_low_risk_that_nobody_shares_fail(proposal: Proposal) -> None:
    public = asking(proposal, tier="low_risk")
    assert of(linkage, replace(public, unique=0), "linkage") == Check(code="linkage", observed=0.0, limit=0)
    assert of(linkage, replace(public, unique=2), "linkage") == Check(
        code="linkage", observed=0.05, limit=0, verdict="fail"
    )


def write_records(proposal: Proposal, home: ReleaseHome, people: Sequence[str]) -> None:
    """Write the package of another release: the same rows under other IDs and offsets, in two files."""
    draw = random.Random(9)
    book = pa.table(
        {
            "participant_id": list(people),
            "project_id": [f"X{number:03d}" for number in draw.sample(range(999), len(people))],
            "date_shift_days": pa.array([draw.randrange(-180, 181) for _ in people], pa.int32()),
        }
    )
    tables = [proposal.source.rows.events(*bucket) for bucket in proposal.source.rows.buckets()]
    for number, some in enumerate((tables[::2], tables[1::2])):
        path = home.package / "records" / f"{number:02x}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_parquet(event_rows(pa.concat_tables(some), proposal.rules, book), path)


# -- 10


def test_sequencing_is_judged_by_the_thresholds_of_today(
    proposal: Proposal, place: ReleaseWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of(sequencing, proposal, "sequencing") == Check(code="sequencing", limit=0)
    asked = asking(proposal, regions=("chr20",))
    assert of(sequencing, asked, "sequencing") == Check(code="sequencing", observed=0, limit=0)
    for person, coverage in zip(place.people, (2.0, 40.0), strict=False):
        metrics = Metrics(
            participant_id=person,
            specimen_id="S0000000000000",
            registered_sex="female",
            observed_sex="female",
            values={"mean_autosome_coverage": coverage},
            unassessed={},
            details={},
        )
        path = Workspace(place.root).participant(person).metrics
        path.parent.mkdir(parents=True)
        write_metrics(path, metrics)
        assert (judge(metrics, load_thresholds()).verdict == "accept") is (coverage > 30)
    assert of(sequencing, asked, "sequencing") == Check(code="sequencing", observed=1, limit=0, verdict="fail")
    leave_out = asking(asked, below_qc="leave_out")
    assert of(sequencing, leave_out, "sequencing").verdict == "told"
    # the workspace's own thresholds count, and no others where its configuration has a fault
    own, config = place.root / "thresholds.yaml", Workspace(place.root).config
    own.write_text("metrics: {mean_autosome_coverage: {hold_below: 50}}\n")
    config.write_text("qc_thresholds: thresholds.yaml\n")
    with pytest.raises(InputRefused, match="expected the key reference"):
        of(sequencing, asked, "sequencing")
    (place.root / "genome.fa").touch()
    config.write_text("qc_thresholds: thresholds.yaml\nreference: genome.fa\n")
    assert of(sequencing, asked, "sequencing").observed == 2
    config.unlink()


# -- the order, and 2


def test_every_check_has_a_number_and_the_order_is_that_of_the_numbers(proposal: Proposal) -> None:
    codes = [check.code for check in order.run_checks(proposal)]
    numbers = [order.NUMBERS[code] for code in codes]
    assert numbers == sorted(numbers) and set(numbers) == {1, 3, 4, 5, 6, 7, 8, 9, 10}


def test_decisions_that_are_missing_fail(place: ReleaseWorkspace) -> None:
    plan = Plan(request={}, request_hash="", snapshots={}, members=0, members_hash="")
    found = order.decisions(place.project, plan, at=date(2026, 12, 1))
    assert found == Check(code="decisions", observed="2 missing", limit="irb, drb", verdict="fail")
