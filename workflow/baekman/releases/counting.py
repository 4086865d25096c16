"""The counts over all members of a release that its rules need: two passes over buckets, one after the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baekman.releases.codes import Choice, parents_within, roll_up, scopes_of_sources, with_targets
from baekman.releases.extremes import Extremes
from baekman.releases.request import Request
from baekman.releases.rows import MemberRows, denied_scopes, person_table
from baekman.releases.transform import OLDEST, Rules, birth_bands, generalise, granted_coverage, long_enough

if TYPE_CHECKING:
    from baekman.records.dictionary import Dictionary
    from baekman.registry.records import Registry


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the rules of a release are counted from.

    ``scopes``: those of the project; ``at``: the day of the plan, for ages.
    """

    request: Request
    choice: Choice
    dictionary: Dictionary
    scopes: Collection[str]
    rows: MemberRows
    registry: Registry
    at: date


def count_rules(source: Source) -> Rules:
    """Return the rules of a release. Codes are counted on firsts, then values on the events of released codes."""
    request, dictionary = source.request, source.dictionary

    def firsts() -> Iterator[pa.Table]:
        return (source.rows.firsts(bucket, members) for bucket, members in source.rows.buckets())

    codes = roll_up(
        firsts,
        starts=source.choice.starts,
        parents=parents_within(dictionary, tier=request.tier, scopes=source.scopes),
        threshold=request.threshold,
    )
    targets, people = codes.targets, codes.people
    limits = {
        code: (-math.inf if entry.low is None else entry.low, math.inf if entry.high is None else entry.high)
        for code, entry in dictionary.entries.items()
        if code in people and entry.kind == "number"
    }
    extremes = Extremes(threshold=request.threshold, limits=limits, stated=request.bounds)
    institutions: Counter[str] = Counter()
    for bucket, members in source.rows.buckets():
        events = with_targets(source.rows.events(bucket, members), targets)
        extremes.add(events)
        pairs = events.group_by(["participant_id", "institution"]).aggregate([])
        institutions.update(pairs["institution"].to_pylist())
    asked = {dictionary.entries[code].scope for code in source.choice.starts}
    return Rules(
        targets=targets,
        rare=codes.rare,
        dropped=codes.dropped,
        units={code: (entry.kind, entry.unit or "") for code, entry in dictionary.entries.items()},
        bounds=extremes.bounds(),
        ends=extremes.fewest(),
        categories=extremes.categories(),
        institutions=_numbered(institutions, threshold=request.threshold),
        people=people,
        sources=scopes_of_sources(source.rows.systems(), dictionary, within=asked),
        birth_years=request.birth_years,
        oldest_birth_year=source.at.year - OLDEST,
    )


def _numbered(institutions: Counter[str], *, threshold: int) -> dict[str, str]:
    """Return institution -> its number in the release, by number of members; without those of too few members."""
    ordered = sorted(institutions, key=lambda name: (-institutions[name], name))
    return {name: str(number) for number, name in enumerate(ordered, 1) if institutions[name] >= threshold}


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The numbers of a plan: ``counts`` by name, and members by band of birth years."""

    counts: Counter[str]
    births: Counter[str]


def count_rows(source: Source, rules: Rules) -> Totals:
    """Return the numbers of the rows that the ``rules`` release; memory does not grow with them."""
    counts: Counter[str] = Counter()
    births: Counter[str] = Counter()
    for bucket, members in source.rows.buckets():
        _, of_bucket = generalise(source.rows.events(bucket, members), rules)
        counts.update(of_bucket)
        coverage = granted_coverage(source.rows.coverage(bucket, members), rules.sources, denied_scopes(members))
        shown = long_enough(coverage).num_rows
        counts["coverage_rows"] += shown
        counts["coverage_rows_too_short"] += coverage.num_rows - shown
        years = person_table(source.registry, members)["birth_year"].combine_chunks()
        births.update(birth_bands(years, rules).drop_null().to_pylist())
        counts["births_90_or_more"] += pc.sum(pc.less_equal(years, rules.oldest_birth_year)).as_py() or 0
    return Totals(counts=counts, births=births)
