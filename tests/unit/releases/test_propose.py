"""The plan of a release: the same request gives the same plan, and nobody is in it without consent."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from baekman import audit
from baekman.consent import ConsentEvent, Decision, Scope, today
from baekman.errors import DamagedFile, InputRefused
from baekman.registry.denied_list import open_in_force
from baekman.releases import low_risk
from baekman.releases.counting import count_rules
from baekman.releases.home import ReleaseHome
from baekman.releases.members import Members, member_ring
from baekman.releases.package.standing import changed_members
from baekman.releases.plan import Check, Plan
from baekman.releases.planning import low_risk_tables, proposed_source
from baekman.workspace.paths import Workspace
from support.kills import killed_before
from support.release_workspace import BP, SMOKING, ReleaseWorkspace, make_workspace

PEOPLE = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReleaseWorkspace:
    return make_workspace(tmp_path_factory.mktemp("releases") / "W", people=PEOPLE)


@pytest.fixture
def place(made: ReleaseWorkspace, tmp_path: Path) -> ReleaseWorkspace:
    shutil.copytree(made.root, tmp_path / "W")
    return replace(made, root=tmp_path / "W", registry=open_in_force(Workspace(tmp_path / "W")))


def check(plan: Plan, code: str) -> Check:
    return next(check for check in plan.checks if check.code == code)


def members_of(place: ReleaseWorkspace, home: object) -> list[str]:
    return list(Members(home.members, home.id, member_ring(place.registry)).ids())  # type: ignore[attr-defined]


def test_a_proposal_has_a_plan_a_dossier_and_sealed_members(place: ReleaseWorkspace) -> None:
    home, plan = place.propose()
    assert sorted(path.name for path in home.path.iterdir() if not path.name.startswith(".")) == [
        *("members.sealed", "plan.json", "request.yaml", "review.html"),
    ]
    assert home.read_plan() == plan and plan.members == PEOPLE
    assert members_of(place, home) == sorted(place.people)
    text = b"".join(path.read_bytes() for path in home.path.iterdir())
    assert not any(person.encode() in text for person in place.people)
    assert [check.code for check in plan.checks if check.verdict == "fail"] == []
    asked, planned = list(audit.events(place.root))[-2:]
    assert (asked["action"], asked["object"]) == ("release.propose", place.project.id)
    assert (planned["action"], planned["object"], planned["output_hash"]) == ("release.plan", home.id, plan.hash)


def test_counts_are_those_of_the_released_rows(place: ReleaseWorkspace) -> None:
    _, plan = place.propose()
    assert plan.small_cells == {"KCD8/E112": ""}
    assert {column.name: column.people for column in plan.columns} == {BP: 40, SMOKING: 40, "KCD8/E119": 26}
    assert plan.counts["rows"] == 40 + 40 + 52 and plan.counts["rows_dropped"] == 5
    assert (plan.counts["values_bottom_coded"], plan.counts["values_top_coded"]) == (10, 14)
    assert [column.ends for column in plan.columns if column.name == BP] == ["110 – 125"]


def test_the_same_request_is_the_same_release(place: ReleaseWorkspace) -> None:
    home, plan = place.propose()
    assert place.propose(who="SELECT participant_id FROM participants") == (home, plan)
    ordered = "SELECT participant_id FROM participants ORDER BY participant_id DESC"
    other, changed = place.propose(who=ordered)
    assert other != home and changed.members_hash == plan.members_hash
    assert replace(changed, request=plan.request, request_hash=plan.request_hash) == plan


def test_a_proposal_that_is_killed_at_an_instant_is_made_again(place: ReleaseWorkspace) -> None:
    home, plan = place.propose()
    step = 2
    shutil.rmtree(home.path)
    while killed_before(step, place.propose):
        assert all(ReleaseHome(path).read_plan() == plan for path in place.root.joinpath("releases").glob("R*"))
        step += 29  # some of the effects: each takes a tenth of a second
    assert step > 20
    home, again = place.propose()
    assert again == plan and [path.name for path in place.root.joinpath("releases").glob("R*")] == [home.id]


# -- tiers


def test_low_risk_has_k_by_an_independent_library_and_one_row_for_each_member(place: ReleaseWorkspace) -> None:
    anonymity = pytest.importorskip("pycanon.anonymity")
    codes = ["KCD8/E10-E14", "KCD8/E119", SMOKING, "SURVEY/unknown"]
    home, plan = place.propose(tier="low_risk", codes=codes)
    assert check(plan, "columns") == Check(code="columns", observed=2, limit=0, verdict="fail")
    assert check(plan, "k").verdict == check(plan, "linkage").verdict == "pass"
    source = proposed_source(place.root, home=home, project=place.project, registry=place.registry, at=today())
    rules = count_rules(source)
    schema = low_risk.row_schema(sorted(rules.people), key="participant_id")
    assert list(rules.people) == ["KCD8/E10-E14", SMOKING]
    with low_risk.suppressed(low_risk_tables(source, rules), schema=schema, threshold=11) as (relation, missing):
        frame = relation.df().fillna("missing")
    assert list(frame["participant_id"]) == sorted(place.people)
    assert anonymity.k_anonymity(frame, list(frame.columns[1:])) == check(plan, "k").observed
    assert {name: count for name, count in missing.items() if count} == {
        name.removeprefix("missing "): count for name, count in plan.counts.items() if name.startswith("missing ")
    }


def test_one_withdrawal_between_two_public_releases_is_no_difference_to_read(place: ReleaseWorkspace) -> None:
    codes = ["KCD8/E10-E14", BP]
    home, plan = place.propose(tier="low_risk", codes=codes)
    home.package.mkdir()
    assert check(plan, "difference") == Check(code="difference", observed=None, limit=11)
    place.withdraw_scope(place.people[0], *Scope)
    _, fewer = place.propose(tier="low_risk", codes=codes)
    assert check(fewer, "difference") == Check(code="difference", observed=1, limit=11, verdict="fail")
    home.package.rename(home.revoked)  # copies of a revoked one are outside
    assert place.propose(tier="low_risk", codes=codes)[1] == fewer


# -- law 2 and law 3


def test_a_withdrawal_before_the_plan_equals_never_there(place: ReleaseWorkspace, tmp_path: Path) -> None:
    who = f"SELECT participant_id FROM firsts WHERE code = '{BP}'"
    left = place.people[7]
    never = replace(place, root=tmp_path / "never")
    shutil.copytree(place.root, never.root)
    place.withdraw_scope(left, *Scope)
    home, plan = place.propose(who=who)
    assert left not in members_of(place, home) and plan.members == PEOPLE - 1
    # the other workspace asks for everybody else
    never = replace(never, registry=open_in_force(Workspace(never.root)))
    _, without = never.propose(who=f"{who} AND participant_id <> '{left[:-1]}' || '{left[-1]}'")
    assert replace(without, request=plan.request, request_hash=plan.request_hash) == plan


def test_withdrawing_one_scope_removes_the_rows_of_that_scope_and_nothing_else(place: ReleaseWorkspace) -> None:
    _, before = place.propose()
    place.withdraw_scope(place.people[7], Scope.LIFESTYLE)
    _, after = place.propose()
    assert after.members == before.members and after.members_hash != before.members_hash
    people = {column.name: column.people for column in after.columns}
    assert people == {**{column.name: column.people for column in before.columns}, SMOKING: PEOPLE - 1}
    assert after.counts["members_without_lifestyle"] == 1
    changed = {name for name in after.counts if after.counts[name] != before.counts.get(name)}
    assert changed == {"rows", "members_without_lifestyle"}


def test_bounds_that_the_request_states_stay_and_fail_where_too_few_people_are_left(place: ReleaseWorkspace) -> None:
    """Law 3: no value of others moves, whoever withdraws; with too few people at an end there is no release."""
    keys: dict[str, object] = {"codes": [BP], "generalise": {"bounds": {BP: [110, 128]}}}
    home, before = place.propose(**keys)
    assert check(before, "ends") == Check(code="ends", observed=11, limit=11)
    assert home.read_request().bounds == {BP: (110.0, 128.0)}
    place.withdraw_scope(place.people[0], Scope.CLINICAL)
    _, after = place.propose(**keys)
    assert [column.ends for column in after.columns] == [column.ends for column in before.columns] == ["110 – 128"]
    assert check(after, "ends") == Check(code="ends", observed=10, limit=11, verdict="fail")


def test_a_withdrawal_after_the_review_changes_the_plan(place: ReleaseWorkspace) -> None:
    home, plan = place.propose()
    assert place.propose_again(home) == (home, plan)  # by the request that it keeps
    place.withdraw_scope(place.people[3], *Scope)
    assert place.propose_again(home)[1].members == plan.members - 1


def test_who_gives_records_without_a_genome_stays_a_member(place: ReleaseWorkspace) -> None:
    place.withdraw_scope(place.people[5], Scope.GENOME)
    home, plan = place.propose()
    assert plan.members == PEOPLE

    def changed() -> int:
        registry = open_in_force(Workspace(place.root))
        return changed_members(place.root, home, project=place.project, registry=registry, at=today())

    assert changed() == 0
    grant = ConsentEvent(
        participant_id=place.people[5], decision=Decision.GRANTED, scopes=(Scope.GENOME,), valid_from=today()
    )
    place.registry.add_consent(grant)
    assert changed() == 0  # who grants more takes nothing back
    place.withdraw_scope(place.people[6], Scope.LIFESTYLE)
    assert changed() == 1


# -- SQL and requests that are refused


@pytest.mark.parametrize("key", ["who", "why"])
def test_a_request_that_names_a_participant_is_refused(place: ReleaseWorkspace, key: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        place.propose(**{key: f"SELECT '{place.people[0]}' AS participant_id"})
    assert str(refusal.value) == (
        f"request.yaml: {key}: expected no ID: reviewers read this text, and a condition holds for later data too, "
        "found an ID of a participant, specimen or delivery; choose people by their data"
    )


@pytest.mark.parametrize(
    ("who", "found"),
    [
        ("DELETE FROM events", "a statement of another kind"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT * FROM read_csv('/etc/passwd')", "another table, file or table function"),
        ("SELECT participant_id FROM participants WHERE random() < 0.5", "random"),
        ("SELECT participant_id FROM events WHERE time < current_date", "current_date"),
        ("SELECT participant_id FROM participants USING SAMPLE 3", "sample"),
        ("SELECT participant_id FROM events WHERE age(time) > INTERVAL 1 YEAR", "age"),
        ("SELECT participant_id FROM participants LIMIT 20", "LIMIT without participant_id in its ORDER BY"),
        (
            "SELECT DISTINCT ON (sex) participant_id FROM (SELECT * FROM participants ORDER BY first LIMIT 9)",
            "DISTINCT ON without participant_id in its ORDER BY, LIMIT without participant_id in its ORDER BY",
        ),
        ("SELECT any_value(participant_id) AS participant_id FROM events GROUP BY code", "any_value without ORDER BY"),
        (
            "SELECT participant_id FROM participants QUALIFY row_number() OVER (PARTITION BY sex) < 9",
            "row_number without ORDER BY",
        ),
        (
            "SELECT participant_id FROM events GROUP BY ALL HAVING arg_min(code, time) = 'x' OR mode(code) = 'x'",
            "arg_min without ORDER BY, mode without ORDER BY",
        ),
        (
            "SELECT participant_id FROM (SELECT *, list(code) OVER (PARTITION BY participant_id) AS l FROM events)",
            "list without ORDER BY",
        ),
        ("SELECT string_agg(participant_id, '') AS participant_id FROM participants", "string_agg without ORDER BY"),
        ("SELECT participant_id, sex FROM participants", "2 columns, or another one"),
        ("SELECT 1 AS participant_id FROM participants", "1 columns, or another one"),
    ],
)
def test_sql_that_does_more_than_choose_people_is_refused(place: ReleaseWorkspace, who: str, found: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        place.propose(who=who)
    assert str(refusal.value).startswith("request.yaml: who: expected ") and str(refusal.value).endswith(found)


def test_a_damaged_plan_stops_only_what_is_compared_with_it(place: ReleaseWorkspace) -> None:
    home, _ = place.propose(tier="open")
    home.plan.write_text(home.plan.read_text().replace(str(PEOPLE), "41", 1))
    again, plan = place.propose(tier="open")
    assert again.id != home.id and again.read_plan() == plan
    home.package.mkdir()  # it was released
    with pytest.raises(DamagedFile) as failure:
        place.propose(tier="open")
    assert failure.value.filename == str(home.plan)


def test_a_function_of_rows_in_a_stated_order_is_taken(place: ReleaseWorkspace) -> None:
    who = "SELECT participant_id FROM events GROUP BY ALL HAVING arg_min(code, time ORDER BY code) <> ''"
    _, plan = place.propose(who=who)
    assert plan.members > 0


def test_a_closed_project_gets_nothing(place: ReleaseWorkspace) -> None:
    audit.record(place.root, action="project.close", object=place.project.id)
    with pytest.raises(InputRefused, match="expected an open project, found a closed one"):
        place.propose()


def test_regions_need_the_scope_of_the_genome_and_a_cohort(place: ReleaseWorkspace) -> None:
    with pytest.raises(InputRefused) as refusal:
        place.propose(regions=["chr20"])
    assert str(refusal.value) == (
        "request.yaml: regions: expected a project with the scope genome, found other scopes; leave the regions out, "
        "or add a project with this scope"
    )
    place.project = place.another_project()
    with pytest.raises(InputRefused) as refusal:
        place.propose(regions=["chr20"])
    assert str(refusal.value) == (
        "request.yaml: regions: expected a cohort, found none; leave the regions out, or add sequenced participants "
        "first"
    )


def test_nobody_is_chosen_by_data_of_a_scope_that_the_project_does_not_have(place: ReleaseWorkspace) -> None:
    place.project = place.another_project(scopes=["clinical"])
    for view in ("events", "firsts"):
        _, plan = place.propose(who=f"SELECT participant_id FROM {view} WHERE code = '{SMOKING}'", codes=[BP])
        assert plan.members == 0 and check(plan, "members").verdict == "fail"
    with pytest.raises(InputRefused, match="expected views of the project's scopes, found calls"):
        place.propose(who="SELECT participant_id FROM calls")
    with pytest.raises(InputRefused, match="another table, file or table function"):
        place.propose(who=f"SELECT participant_id FROM main.firsts WHERE code = '{SMOKING}'")
