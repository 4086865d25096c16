"""Events, coverage and persons as a release shows them.

Codes are rolled up, extreme values are coded, and dates move by one offset per person and project. Intervals between
the events of a person stay exact.

Many people are covered from or to one day that others know, such as the day of an extraction. So covered days lose some
at both ends: the same ones remain for each offset of a group of ``ALIKE``, and nobody reads the offset off them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.records.schema import COVERAGE
from baekman.registry.books.rows import LONGEST_SHIFT
from baekman.releases.codes import with_targets
from baekman.releases.extremes import Bounds

DAY = 86_400_000_000  # microseconds
OLDEST = 90  # years: who is older is released with this age
OTHER = "other"  # institutions of too few participants
ALIKE = 61  # offsets that leave the same covered days; a divisor of the offsets in either direction

# A released event. ``time`` and ``end`` are moved by the person's offset. ``institution`` is a number of the release,
# and ``episode`` a number within the person: what the institution wrote is not released.
RELEASED_EVENTS = pa.schema(
    [
        pa.field("project_id", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us"), nullable=False),
        pa.field("end", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("category", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("institution", pa.string(), nullable=False),
        pa.field("episode", pa.int32()),
    ]
)
RELEASED_COVERAGE = pa.schema(
    [
        pa.field("project_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("first", pa.date32(), nullable=False),
        pa.field("last", pa.date32(), nullable=False),
    ]
)
# ``birth``: years of a band, both included (1960-1964). The registry has years of birth only.
RELEASED_PERSONS = pa.schema(
    [pa.field("project_id", pa.string(), nullable=False), pa.field("sex", pa.string()), pa.field("birth", pa.string())]
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules by which the rows of a release are made, from counts over all members.

    Attributes:
        targets: Code -> released code.
        rare: Requested code of too few members -> released code, or "".
        dropped: Codes with rows that are not released, since they and all codes above are rare.
        units: Code -> kind and unit in the dictionary; a value is shown where code and released code have the same.
        bounds: Released number code -> lowest and highest value that are shown.
        ends: Code with bounds that the request states -> fewest members with a value at or beyond one of them.
        categories: Released code -> categories that are shown.
        institutions: Institution -> its name in the release.
        people: Released code -> number of members.
        sources: Source -> the scopes of requested codes that it knows; without sources that know none of them.
        birth_years: Width of the bands of birth years.
        oldest_birth_year: The year of birth of who is released as ``OLDEST`` years old.
    """

    targets: Mapping[str, str]
    rare: Mapping[str, str]
    dropped: tuple[str, ...]
    units: Mapping[str, tuple[str, str]]
    bounds: Mapping[str, Bounds]
    ends: Mapping[str, int]
    categories: Mapping[str, frozenset[str]]
    institutions: Mapping[str, str]
    people: Mapping[str, int]
    sources: Mapping[str, frozenset[str]]
    birth_years: int
    oldest_birth_year: int

    def to_json(self) -> dict[str, Any]:
        """Return the rules as JSON values, for tasks in other processes."""
        return {
            **asdict(self),
            "categories": {code: sorted(shown) for code, shown in self.categories.items()},
            "sources": {source: sorted(scopes) for source, scopes in self.sources.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Rules:
        """Return the rules that ``to_json`` wrote."""
        return cls(
            **{
                **values,
                "dropped": tuple(values["dropped"]),
                "units": {code: (kind, unit) for code, (kind, unit) in values["units"].items()},
                "bounds": {code: (low, high) for code, (low, high) in values["bounds"].items()},
                "categories": {code: frozenset(shown) for code, shown in values["categories"].items()},
                "sources": {source: frozenset(scopes) for source, scopes in values["sources"].items()},
            }
        )


def generalise(events: pa.Table, rules: Rules) -> tuple[pa.Table, Counter[str]]:
    """Return the rows of ``events`` (schema EVENTS) that are released, still under our IDs and dates, and counts.

    The counts are ``rows``, ``rows_rolled_up``, ``rows_dropped`` (of ``Rules.dropped``), ``values_bottom_coded``,
    ``values_top_coded``, ``values_missing`` and ``categories_missing``.
    """
    known = pc.index_in(events["code"], value_set=pa.array(sorted(rules.targets), pa.string()))
    asked = events.filter(pc.is_valid(known))
    kept = with_targets(asked, rules.targets)
    is_dropped = pc.is_in(events["code"], value_set=pa.array(rules.dropped, pa.string()))
    counts = Counter({"rows": kept.num_rows, "rows_dropped": pc.sum(is_dropped).as_py() or 0})
    rolled_up = pc.not_equal(asked["code"], kept["code"])
    counts["rows_rolled_up"] = pc.sum(rolled_up).as_py() or 0
    values, coded = _shown_values(asked["code"], kept["code"], kept["value"], rules)
    categories, missing = _shown_categories(kept["code"], kept["category"], rules)
    counts.update(coded)
    counts["categories_missing"] = missing
    kept = kept.set_column(kept.schema.get_field_index("value"), kept.schema.field("value"), values)
    return kept.set_column(kept.schema.get_field_index("category"), kept.schema.field("category"), categories), counts


def _shown_values(
    codes: pa.ChunkedArray, targets: pa.ChunkedArray, values: pa.ChunkedArray, rules: Rules
) -> tuple[pa.Array, Counter[str]]:
    """Return values within the bounds of their released code; null where unit or number of people forbid them."""
    released = sorted({*rules.targets.values()})
    low = np.array([rules.bounds.get(code, (np.nan, np.nan))[0] for code in released] or [np.nan])
    high = np.array([rules.bounds.get(code, (np.nan, np.nan))[1] for code in released] or [np.nan])
    place = pc.index_in(targets, value_set=pa.array(released, pa.string())).to_numpy(zero_copy_only=False)
    known = sorted(rules.targets)
    comparable = np.array([rules.units.get(code) == rules.units.get(rules.targets[code]) for code in known] or [False])
    of_code = pc.index_in(codes, value_set=pa.array(known, pa.string())).to_numpy(zero_copy_only=False)
    number = values.to_numpy(zero_copy_only=False).astype(np.float64)
    is_value = ~np.isnan(number)
    is_shown = is_value & comparable[of_code] & ~np.isnan(low[place])
    below, above = is_shown & (number < low[place]), is_shown & (number > high[place])
    shown = np.clip(number, low[place], high[place])
    counts = Counter(
        {
            "values_bottom_coded": int(below.sum()),
            "values_top_coded": int(above.sum()),
            "values_missing": int((is_value & ~is_shown).sum()),
        }
    )
    return pa.array(shown, pa.float64(), mask=~is_shown), counts


def _shown_categories(targets: pa.ChunkedArray, categories: pa.ChunkedArray, rules: Rules) -> tuple[pa.Array, int]:
    """Return categories that are shown, null for the others, and the number of the others."""
    pairs = pc.binary_join_element_wise(targets, categories, "\t", null_handling="emit_null")
    shown = [f"{code}\t{category}" for code, names in rules.categories.items() for category in sorted(names)]
    is_shown = pc.is_in(pairs, value_set=pa.array(shown, pa.string()))
    missing = pc.sum(pc.and_(pc.is_valid(pairs), pc.invert(is_shown))).as_py() or 0
    result = pc.if_else(is_shown, categories, pa.scalar(None, pa.string()))
    return (result.combine_chunks() if isinstance(result, pa.ChunkedArray) else result), missing


def event_rows(events: pa.Table, rules: Rules, book: pa.Table) -> pa.Table:
    """Return the released rows (RELEASED_EVENTS) of ``events`` (schema EVENTS), sorted by all columns.

    ``book`` has ``participant_id``, ``project_id`` and ``date_shift_days`` of each member; who is not in it is left
    out.
    """
    kept, _ = generalise(events, rules)
    kept, project_ids, shift = _rekeyed(kept, book)
    moved = shift.astype(np.int64) * DAY
    names = sorted(rules.institutions)
    place = pc.index_in(kept["institution"], value_set=pa.array(names, pa.string()))
    labels = pc.take(pa.array([rules.institutions[name] for name in names], pa.string()), place)
    columns = {
        "project_id": project_ids,
        "time": _moved(kept["time"], moved),
        "end": _moved(kept["end"], moved),
        "code": kept["code"],
        "value": kept["value"],
        "category": kept["category"],
        "source": kept["source"],
        "institution": pc.fill_null(labels, OTHER),
        "episode": _episode_numbers(kept),
    }
    table = pa.table([columns[name] for name in RELEASED_EVENTS.names], schema=RELEASED_EVENTS)
    return table.sort_by([(name, "ascending") for name in RELEASED_EVENTS.names])


def granted_coverage(
    coverage: pa.Table, sources: Mapping[str, Collection[str]], denied: Mapping[str, Collection[str]]
) -> pa.Table:
    """Return the rows of ``coverage`` of sources with a scope that the participant has granted.

    ``sources``: the scopes of each source (``codes.scopes_of_sources``); ``denied``: the scopes that each participant
    has not granted.
    """
    keep = pc.is_in(coverage["source"], value_set=pa.array(sorted(sources), pa.string()))
    people: dict[frozenset[str], list[str]] = {}
    for participant, scopes in denied.items():
        people.setdefault(frozenset(scopes), []).append(participant)
    for scopes, some in people.items():  # at most one set for each combination of scopes
        closed = [source for source, asked in sources.items() if scopes.issuperset(asked)]
        of_people = pc.is_in(coverage["participant_id"], value_set=pa.array(some, pa.string()))
        of_sources = pc.is_in(coverage["source"], value_set=pa.array(closed, pa.string()))
        keep = pc.and_not(keep, pc.and_(of_people, of_sources))
    return coverage.filter(keep)


def long_enough(coverage: pa.Table) -> pa.Table:
    """Return the rows of ``coverage`` (schema COVERAGE) of which days remain in a release: those of ``ALIKE`` days."""
    days = pc.subtract(coverage["last"].cast(pa.int32()), coverage["first"].cast(pa.int32()))
    return coverage.filter(pc.greater_equal(days, ALIKE - 1))


def coverage_rows(coverage: pa.Table, book: pa.Table) -> pa.Table:
    """Return the released rows (RELEASED_COVERAGE) of ``coverage`` (schema COVERAGE), sorted by all columns.

    A released day was seen: the ends are those that every offset of the person's group leaves. Rows of fewer than
    ``ALIKE`` days are not released.
    """
    kept, project_ids, shift = _rekeyed(long_enough(coverage), book)
    lowest = lowest_alike(shift)
    ends = (("first", lowest + (ALIKE - 1)), ("last", lowest))
    first, last = (
        pa.array(kept[name].cast(pa.int32()).to_numpy() + moved, pa.int32()).cast(pa.date32()) for name, moved in ends
    )
    table = pa.table([project_ids, kept["source"], first, last], schema=RELEASED_COVERAGE)
    return table.sort_by([(name, "ascending") for name in RELEASED_COVERAGE.names])


def lowest_alike(shift: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the lowest of the ``ALIKE`` offsets that each offset in days is among; no group has both directions."""
    down, up = shift + LONGEST_SHIFT, shift - 1
    return np.where(shift < 0, shift - down % ALIKE, shift - up % ALIKE).astype(np.int32)


def fewest_alike() -> int:
    """Return the fewest offsets with one answer of ``coverage_rows``, of all offsets that a book has.

    Who knows the true ends of a person's covered days finds the offset with a chance of one in this number.
    """
    shifts = np.array([shift for shift in range(-LONGEST_SHIFT, LONGEST_SHIFT + 1) if shift], np.int32)
    ids = pa.array([f"{shift:+}" for shift in shifts.tolist()], pa.string())
    book = pa.table({"participant_id": ids, "project_id": ids, "date_shift_days": shifts})
    days = [pa.array([day] * len(ids), pa.int32()).cast(pa.date32()) for day in (0, 10 * ALIKE)]
    coverage = pa.table([ids, pa.array([""] * len(ids), pa.string()), *days], schema=COVERAGE)
    sizes = coverage_rows(coverage, book).group_by(["first", "last"]).aggregate([([], "count_all")])["count_all"]
    return int(pc.min(sizes).as_py())


def birth_bands(years: pa.Array, rules: Rules) -> pa.Array:
    """Return the band of each year of birth as text (``1960-1964``); null for null.

    Who is more than ``OLDEST`` years old is in the band of who is ``OLDEST``.
    """
    oldest = pc.max_element_wise(years, pa.scalar(rules.oldest_birth_year, years.type), skip_nulls=False)
    first = pc.multiply(pc.divide(oldest, rules.birth_years), rules.birth_years)
    last = pc.add(first, rules.birth_years - 1)
    return pc.binary_join_element_wise(first.cast(pa.string()), last.cast(pa.string()), "-")


def person_rows(persons: pa.Table, rules: Rules, book: pa.Table) -> pa.Table:
    """Return the released rows (RELEASED_PERSONS) of ``persons``, sorted by project ID.

    ``persons`` has ``participant_id``, ``sex`` and ``birth_year`` (int32, nullable).
    """
    kept, project_ids, _ = _rekeyed(persons, book)
    births = birth_bands(kept["birth_year"].combine_chunks(), rules)
    return pa.table([project_ids, kept["sex"], births], schema=RELEASED_PERSONS).sort_by("project_id")


def _rekeyed(table: pa.Table, book: pa.Table) -> tuple[pa.Table, pa.Array, npt.NDArray[np.int32]]:
    """Return the rows of ``table`` in ``book``, with the project ID and the offset in days of each."""
    place = pc.index_in(table["participant_id"], value_set=book["participant_id"].combine_chunks())
    kept = table.filter(pc.is_valid(place))
    rows = place.drop_null()
    shift = book["date_shift_days"].to_numpy()[rows.to_numpy()] if len(rows) else np.zeros(0, np.int32)
    return kept, pc.take(book["project_id"].combine_chunks(), rows), shift


def _moved(times: pa.ChunkedArray, moved: npt.NDArray[np.int64]) -> pa.Array:
    shifted = pc.add(times.cast(pa.int64()), pa.array(moved, pa.int64()))
    return shifted.cast(pa.timestamp("us"))


def _episode_numbers(kept: pa.Table) -> pa.Array:
    """Return a number from 1 within the person for each episode, in the order of the first time; null for null."""
    ordered = kept.select(["participant_id", "episode"]).append_column("time", kept["time"])
    firsts = ordered.group_by(["participant_id", "episode"]).aggregate([("time", "min")])
    firsts = firsts.filter(pc.is_valid(firsts["episode"])).sort_by(
        [("participant_id", "ascending"), ("time_min", "ascending"), ("episode", "ascending")]
    )
    people = firsts["participant_id"].to_numpy(zero_copy_only=False)
    begins = np.flatnonzero(np.r_[True, people[1:] != people[:-1]]) if len(people) else np.zeros(0, np.int64)
    number = np.arange(len(people)) - np.repeat(begins, np.diff(np.r_[begins, len(people)])) + 1
    names = pc.binary_join_element_wise(firsts["participant_id"], firsts["episode"], "\t").combine_chunks()
    asked = pc.binary_join_element_wise(kept["participant_id"], kept["episode"], "\t", null_handling="emit_null")
    place = pc.index_in(asked, value_set=names, skip_nulls=True)
    return pc.take(pa.array(number, pa.int32()), place)
