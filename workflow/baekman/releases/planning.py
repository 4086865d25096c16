"""The plan of a release from its request: members, rules, numbers and checks."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from baekman.cohort.index import excluded
from baekman.cohort.snapshot import read_snapshot as read_cohort_snapshot
from baekman.cohort.store import open_store as open_cohort_store
from baekman.consent import Scope
from baekman.errors import InputRefused, Problem
from baekman.files.digests import sha256_of
from baekman.projects.project import Project
from baekman.records.dictionary import Dictionary, read_dictionary
from baekman.records.snapshot import read_snapshot as read_record_snapshot
from baekman.records.store import RecordStore
from baekman.records.store import open_store as open_record_store
from baekman.releases import low_risk
from baekman.releases.admission import DATA_SCOPES, admitted
from baekman.releases.checks.linkage import linkage
from baekman.releases.checks.order import run_checks
from baekman.releases.checks.others import as_decided, others_of
from baekman.releases.checks.people import difference_to_earlier
from baekman.releases.checks.proposal import Proposal
from baekman.releases.codes import choose
from baekman.releases.counting import Source, Totals, count_rows, count_rules
from baekman.releases.home import ReleaseHome
from baekman.releases.members import Members, Written, candidates_by_bucket, member_ring, write_members
from baekman.releases.plan import REQUEST_FILE, Check, Column, Plan, SnapshotOf
from baekman.releases.request import Request
from baekman.releases.rows import MemberRows, person_table
from baekman.releases.transform import Rules, generalise
from baekman.releases.views import Stores, candidates
from baekman.workspace.denied import admission, record_admission
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from baekman.registry.records import Registry

BUCKETS = 256  # of a workspace without records


def uses_of(project: Project) -> frozenset[Scope]:
    """Return the scopes of the use (commercial, overseas) that each member of a release to ``project`` must grant."""
    return project.required_scopes - frozenset(DATA_SCOPES)


def open_stores(workspace: Path, request: Request, project: Project) -> Stores:
    """Return the stores of ``workspace`` at the snapshots of ``request``, by default the latest, with consent asked.

    Raises InputRefused for a snapshot that is not there, and for a named snapshot of a store that is not there.
    """
    place = Workspace(workspace)
    purpose = ",".join(sorted(uses_of(project)))
    stores = Stores(scopes=frozenset(project.scopes))
    if place.records.exists() or request.records_snapshot is not None:
        records = open_record_store(workspace)
        stores = replace(
            stores,
            records=records,
            records_snapshot=read_record_snapshot(records, request.records_snapshot),
            dictionary=read_dictionary(records.dictionary),
            admission=record_admission(place, purpose=purpose),
        )
    if place.cohort.exists() or request.cohort_snapshot is not None:
        cohort = open_cohort_store(place.cohort, workspace=workspace)
        snapshot = read_cohort_snapshot(cohort, request.cohort_snapshot)
        without = excluded(cohort, admission(place, purpose=purpose), at=snapshot)
        stores = replace(stores, cohort=cohort, cohort_snapshot=snapshot, without=without)
    return stores


def resolved(request: Request, stores: Stores) -> Request:
    """Return ``request`` with the numbers of the snapshots that ``stores`` have."""
    records, cohort = stores.records_snapshot, stores.cohort_snapshot
    return replace(
        request,
        records_snapshot=records.number if records else None,
        cohort_snapshot=cohort.number if cohort else None,
    )


def make_plan(
    workspace: Path,
    request: Request,
    *,
    home: ReleaseHome,
    project: Project,
    registry: Registry,
    at: date,
    decided: Plan | None = None,
) -> Plan:
    """Write the sealed members of ``request`` to ``home`` and return the plan.

    The same request over the same state gives the same plan, also for a home of another ID. With ``decided``, an
    earlier plan of the request, the packages that were built or revoked since are no part of the state.

    Raises:
        InputRefused: The SQL or a region is refused, or a store or snapshot is not there.
    """
    stores = open_stores(workspace, request, project)
    request = resolved(request, stores)
    _require_regions(request, stores)
    written = _write_members(workspace, request, home=home, stores=stores, project=project, registry=registry, at=at)
    source = _source(home, request, stores=stores, project=project, registry=registry, at=at)
    rules = count_rules(source)
    totals = count_rows(source, rules)
    smallest, unique, missing = _suppression(source, rules)
    others: dict[str, ReleaseHome] = {}
    if decided is None:
        others = others_of(workspace, tier=request.tier, project=project.id, without=[home.id])
    proposal = Proposal(
        workspace=workspace,
        project=project,
        source=source,
        written=written,
        rules=rules,
        totals=totals,
        smallest=smallest,
        unique=unique,
        others=others,
        ring=source.rows.members.ring,
    )
    counts = dict(totals.counts) | {f"missing {name}": count for name, count in missing.items() if count}
    counts |= {f"members_without_{scope}": count for scope, count in written.without.items()}
    counts["codes_outside_tier_or_scope"] = source.choice.skipped
    plan = Plan(
        request=request.to_json(),
        request_hash=request.hash,
        snapshots=_snapshots(stores),
        dictionary_hash=sha256_of(stores.records.dictionary) if stores.records else "",
        members=written.count,
        members_hash=written.hash,
        columns=tuple(_columns(source, rules)),
        counts={name: counts[name] for name in sorted(counts)},
        small_cells=dict(rules.rare),
        checks=run_checks(proposal),
        compared=tuple(sorted(others)),
        recipient_key=request.recipient.fingerprint if request.recipient else "",
    )
    return as_decided(plan, decided) if decided else plan


def later_checks(
    workspace: Path, plan: Plan, others: Mapping[str, ReleaseHome], *, source: Source, project: Project
) -> tuple[Check, ...]:
    """Return the checks on members and linkage of a ``plan`` against ``others``, which were built since."""
    proposal = Proposal(
        workspace=workspace,
        project=project,
        source=source,
        written=Written(count=plan.members, without={}, hash=plan.members_hash),
        rules=count_rules(source),
        totals=Totals(counts=Counter(), births=Counter()),
        smallest=None,
        unique=None,
        others=others,
        ring=source.rows.members.ring,
    )
    return (*difference_to_earlier(proposal), *linkage(proposal))


def _require_regions(request: Request, stores: Stores) -> None:
    """Raise InputRefused for regions that the reference does not have, or without a cohort or the scope of it."""
    problems: list[Problem] = []
    if request.regions and Scope.GENOME not in stores.scopes:
        action = "leave the regions out, or add a project with this scope"
        expected = "a project with the scope genome"
        problems.append(
            Problem(file=REQUEST_FILE, place="regions", expected=expected, found="other scopes", action=action)
        )
    elif request.regions and stores.cohort is None:
        action = "leave the regions out, or add sequenced participants first"
        problems.append(Problem(file=REQUEST_FILE, place="regions", expected="a cohort", found="none", action=action))
    for number, region in enumerate(request.regions):
        if stores.cohort is not None:
            try:
                stores.cohort.parse_region(region)
            except InputRefused as refusal:
                problems += [
                    replace(problem, file=REQUEST_FILE, place=f"regions.{number}") for problem in refusal.problems
                ]
    if problems:
        raise InputRefused(problems)


def _write_members(
    workspace: Path,
    request: Request,
    *,
    home: ReleaseHome,
    stores: Stores,
    project: Project,
    registry: Registry,
    at: date,
) -> Written:
    """Write the members of ``request`` to ``home``, bucket by bucket as the answer to its SQL is read."""
    scopes, uses = frozenset(project.scopes), uses_of(project)
    records = stores.records or RecordStore(Workspace(workspace).records, BUCKETS, "", workspace)
    with candidates(stores, request.who) as reader:
        chosen = (
            (bucket, list(admitted(registry, names, scopes=scopes, uses=uses, at=at)))
            for bucket, names in candidates_by_bucket(reader, bucket_of=records.bucket_of)
        )
        return write_members(home.members, chosen, release=home.id, ring=member_ring(registry))


def proposed_source(workspace: Path, *, home: ReleaseHome, project: Project, registry: Registry, at: date) -> Source:
    """Return what the rules of a proposed release are counted from, with its sealed members as they were proposed."""
    request = home.read_request()
    stores = open_stores(workspace, request, project)
    return _source(home, request, stores=stores, project=project, registry=registry, at=at)


def _source(
    home: ReleaseHome, request: Request, *, stores: Stores, project: Project, registry: Registry, at: date
) -> Source:
    dictionary = stores.dictionary or Dictionary.of({})
    scopes = frozenset(project.scopes)
    members = Members(home.members, home.id, member_ring(registry))
    return Source(
        request=request,
        choice=choose(request, dictionary=dictionary, scopes=scopes),
        dictionary=dictionary,
        scopes=scopes,
        rows=MemberRows(members=members, store=stores.records, snapshot=stores.records_snapshot),
        registry=registry,
        at=at,
    )


def low_risk_tables(source: Source, rules: Rules) -> Iterator[pa.Table]:
    """Yield the rows of ``low_risk`` of each bucket, before values are set to missing."""
    for bucket, members in source.rows.buckets():
        events, _ = generalise(source.rows.events(bucket, members), rules)
        yield low_risk.participant_rows(events, person_table(source.registry, members), rules, source.dictionary)


def _suppression(source: Source, rules: Rules) -> tuple[int | None, int | None, dict[str, int]]:
    """Return the smallest group of rows, the number of unique rows and the missing values of ``low_risk``."""
    if source.request.tier != "low_risk":
        return None, None, {}
    schema = low_risk.row_schema(sorted(rules.people), key="participant_id")
    tables = low_risk_tables(source, rules)
    with low_risk.suppressed(tables, schema=schema, threshold=source.request.threshold) as (relation, missing):
        smallest, unique = low_risk.group_sizes(relation, schema.names[1:])
        return smallest, unique, dict(missing)


def _columns(source: Source, rules: Rules) -> Iterator[Column]:
    for code, people in rules.people.items():
        entry = source.dictionary.entry(code)
        if entry is not None:
            low, high = rules.bounds.get(code, (None, None))
            yield Column(
                name=code,
                kind=entry.kind,
                unit=entry.unit or "",
                tier=entry.tier,
                scope=entry.scope,
                people=people,
                low=low,
                high=high,
            )


def _snapshots(stores: Stores) -> dict[str, SnapshotOf]:
    snapshots: dict[str, SnapshotOf] = {}
    if stores.records_snapshot is not None:
        batches = [(entry.name, entry.digest, entry.hashes) for entry in stores.records_snapshot.batches]
        content = hashlib.sha256(json.dumps(batches).encode()).hexdigest()
        snapshots["records"] = SnapshotOf(number=stores.records_snapshot.number, content=content)
    if stores.cohort_snapshot is not None:
        snapshots["cohort"] = SnapshotOf(number=stores.cohort_snapshot.number, content=stores.cohort_snapshot.content)
    return snapshots
