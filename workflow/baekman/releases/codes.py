"""The codes of a release: the choice by the request within tier and scopes, and the roll-up of rare codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baekman.releases.request import Request

if TYPE_CHECKING:
    from baekman.records.dictionary import Dictionary, Entry

# the tiers of dictionary codes that a release of each tier may have
TIERS_WITHIN: Mapping[str, frozenset[str]] = {
    "open": frozenset({"open"}),
    "low_risk": frozenset({"open", "low_risk"}),
    "room": frozenset({"open", "low_risk", "room"}),
    "transfer": frozenset({"open", "low_risk", "room"}),
}
EVERY = "/*"  # at the end of a system: every code of it


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The codes that a request may have of the dictionary.

    Attributes:
        starts: Code -> the code that it is released as if enough people hold it: itself where it was requested, else
            the nearest requested code above it.
        unknown: Requested codes that the dictionary does not have.
        beyond: Codes that were requested by name, of another tier or scope than the release may have.
        skipped: Number of codes under a pattern ``SYSTEM/*`` that are of another tier or scope, with all codes above.
    """

    starts: Mapping[str, str]
    unknown: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    skipped: int = 0


def choose(request: Request, *, dictionary: Dictionary, scopes: Collection[str]) -> Choice:
    """Return the codes of ``request`` within its tier and the ``scopes`` of its project.

    A requested code stands for the codes below it, too. A code of the tier ``never`` is in no release in any form.
    """
    chosen: set[str] = set()
    unknown: list[str] = []
    beyond: list[str] = []
    systems: list[str] = []
    for asked in request.codes:
        if asked.endswith(EVERY):
            system = [code for code in dictionary.codes if code.startswith(asked[:-1])]
            chosen.update(code for code in system if _is_within(dictionary, code, tier=request.tier, scopes=scopes))
            systems += system
            unknown += [] if system else [asked]
        elif dictionary.entry(asked) is None:
            unknown.append(asked)
        elif _is_within(dictionary, asked, tier=request.tier, scopes=scopes):
            chosen.add(asked)
        else:
            beyond.append(asked)
    starts: dict[str, str] = {}
    for code, entry in dictionary.entries.items():
        above: Entry | None = entry if entry.tier != "never" and entry.scope in scopes else None
        while above is not None and above.code not in chosen:
            above = _parent(dictionary, above)
        if above is not None:
            starts[code] = above.code
    skipped = sum(code not in starts for code in systems)
    return Choice(starts=starts, unknown=tuple(unknown), beyond=tuple(beyond), skipped=skipped)


def _is_within(dictionary: Dictionary, code: str, *, tier: str, scopes: Collection[str]) -> bool:
    entry = dictionary.entry(code)
    return entry is not None and entry.tier in TIERS_WITHIN[tier] and entry.scope in scopes


def scopes_of_sources(
    systems: Mapping[str, Collection[str]], dictionary: Dictionary, *, within: Collection[str]
) -> dict[str, frozenset[str]]:
    """Return the scopes ``within`` which each source has codes; without sources that have none.

    ``systems``: the code systems of the events of each source in the snapshot (``records.reading.systems``). A source
    is of the scopes of all codes of these systems in the dictionary: it would have recorded any of them.
    """
    scopes: dict[str, set[str]] = {}
    for code, entry in dictionary.entries.items():
        scopes.setdefault(code.partition("/")[0], set()).add(entry.scope)
    known = {
        source: frozenset().union(*(scopes.get(system, ()) for system in some)) & frozenset(within)
        for source, some in systems.items()
    }
    return {source: some for source, some in known.items() if some}


def people_per_code(rows: Iterable[pa.Table], targets: Mapping[str, str]) -> Counter[str]:
    """Return the number of participants of each target.

    ``rows`` have ``participant_id`` and ``code``; all rows of a participant are in one table. A code without a target
    is not counted.
    """
    people: Counter[str] = Counter()
    for table in rows:
        mapped = with_targets(table.select(["participant_id", "code"]), targets)
        pairs = mapped.group_by(["participant_id", "code"]).aggregate([])
        counted = pairs.group_by("code").aggregate([("participant_id", "count")])
        people.update(dict(zip(counted["code"].to_pylist(), counted["participant_id_count"].to_pylist(), strict=True)))
    return people


def with_targets(table: pa.Table, targets: Mapping[str, str]) -> pa.Table:
    """Return the rows of ``table`` with a target, with it in the column ``code``."""
    known = sorted(targets)
    place = pc.index_in(table["code"], value_set=pa.array(known, pa.string()))
    kept = table.filter(pc.is_valid(place))
    names = pa.array([targets[code] for code in known], pa.string())
    column = pc.take(names, place.drop_null())
    return kept.set_column(kept.schema.get_field_index("code"), kept.schema.field("code"), column)


@dataclass(frozen=True, kw_only=True)
class RollUp:
    """The released codes.

    Attributes:
        targets: Code -> released code.
        people: Released code -> number of participants.
        rare: Requested code of too few participants -> released code; "" where no code above has enough.
        dropped: Codes with rows that are not released, since they and all codes above are rare.
    """

    targets: dict[str, str]
    people: dict[str, int]
    rare: dict[str, str]
    dropped: tuple[str, ...] = ()


def roll_up(
    rows: Callable[[], Iterable[pa.Table]], *, starts: Mapping[str, str], parents: Mapping[str, str], threshold: int
) -> RollUp:
    """Return the released codes of the codes in ``starts``.

    A code of fewer than ``threshold`` participants is released as its parent, the lowest codes of the tree first. This
    is repeated until the participants of each released code are enough. The rows of a code without such an ancestor are
    not released.

    Args:
        rows: Returns an iterator as ``people_per_code`` takes it. Each repetition reads it once.
        starts: Code -> the code that it is released as if enough people hold it (``Choice.starts``).
        parents: Code -> parent, for parents that the release may have.
        threshold: The fewest participants of a released code.
    """
    targets = dict(starts)
    present: set[str] | None = None
    while True:
        people = people_per_code(rows(), targets)
        present = set(people) if present is None else present
        rare = {target for target, count in people.items() if count < threshold}
        if not rare:
            break
        lowest = max(_depth(target, parents) for target in rare)  # a parent may be enough with its rare children
        rare = {target for target in rare if _depth(target, parents) == lowest}
        targets = dict(_one_step_up(targets, rare=rare, parents=parents))
    held = {code: target for code, target in sorted(targets.items()) if target in people}
    ends = {start: held.get(code, "") for code, start in starts.items() if start in present}
    return RollUp(
        targets=held,
        people=dict(sorted(people.items())),
        rare={start: end for start, end in sorted(ends.items()) if start != end},
        dropped=tuple(sorted(code for code, start in starts.items() if start in present and not ends[start])),
    )


def _depth(code: str, parents: Mapping[str, str]) -> int:
    """Return the number of ancestors of ``code``."""
    depth = 0
    while parent := parents.get(code):
        code, depth = parent, depth + 1
    return depth


def _one_step_up(
    targets: Mapping[str, str], *, rare: Collection[str], parents: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for code, target in targets.items():
        higher = parents.get(target, "") if target in rare else target
        if higher:
            yield code, higher


def parents_within(dictionary: Dictionary, *, tier: str, scopes: Collection[str]) -> dict[str, str]:
    """Return code -> nearest ancestor that a release of ``tier`` with ``scopes`` may have."""
    parents: dict[str, str] = {}
    for code in dictionary.codes:
        ancestor = _parent(dictionary, dictionary.entry(code))
        while ancestor is not None and not _is_within(dictionary, ancestor.code, tier=tier, scopes=scopes):
            ancestor = _parent(dictionary, ancestor)
        if ancestor is not None:
            parents[code] = ancestor.code
    return parents


def _parent(dictionary: Dictionary, entry: Entry | None) -> Entry | None:
    return dictionary.entry(entry.parent) if entry is not None and entry.parent else None
