"""The events of a release in MEDS 0.4 (Medical Event Data Standard): a folder ``meds`` in the package.

``subject_id`` is the sample number. Values have the units of the dictionary; the category of an event is
``text_value``. Sex is a static event without a time. No event of birth is released, since the day is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from baekman import __version__
from baekman.arrow import table_of
from baekman.files.atomic import write_text
from baekman.records.dictionary import Dictionary

FOLDER = "meds"
VERSION = "0.4.1"
DATA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.large_string()),
        pa.field("end", pa.timestamp("us")),
        pa.field("source", pa.string()),
        pa.field("institution", pa.string()),
        pa.field("episode", pa.int32()),
    ]
)
SPLITS = pa.schema([pa.field("subject_id", pa.int64(), nullable=False), pa.field("split", pa.string(), nullable=False)])
CODES = pa.schema(
    [
        ("code", pa.string()),
        ("description", pa.string()),
        ("parent_codes", pa.list_(pa.string())),
        ("unit", pa.string()),
    ]
)
SEX = "SEX/"  # before the registered sex


def data_rows(events: pa.Table, persons: pa.Table) -> pa.Table:
    """Return the rows (schema DATA) of a bucket of the release, sorted by subject and time, static rows first.

    ``events``: rows of RELEASED_EVENTS. ``persons``: ``sample``, ``project_id`` and ``sex``.
    """
    place = pc.index_in(events["project_id"], value_set=persons["project_id"].combine_chunks())
    known = persons.filter(pc.is_valid(persons["sex"]))
    static = {
        "subject_id": known["sample"].cast(pa.int64()),
        "code": pc.binary_join_element_wise(pa.scalar(SEX), known["sex"], ""),
    }
    dated = {
        "subject_id": persons["sample"].combine_chunks().take(place.combine_chunks()).cast(pa.int64()),
        "code": events["code"],
        "numeric_value": events["value"].cast(pa.float32(), safe=False),
        "text_value": events["category"].cast(pa.large_string()),
        **{name: events[name] for name in ("time", "end", "source", "institution", "episode")},
    }
    tables = [_table(static, known.num_rows), _table(dated, events.num_rows)]
    rows = pa.concat_tables(tables)
    keys = [(name, "ascending", "at_start") for name in DATA.names]
    order = pc.sort_indices(rows, sort_keys=keys)
    return rows.take(order).combine_chunks()


def _table(columns: dict[str, pa.Array], rows: int) -> pa.Table:
    return table_of(DATA, {field.name: columns.get(field.name, pa.nulls(rows, field.type)) for field in DATA})


def by_split(rows: pa.Table, split_of_sample: pa.Array) -> Iterator[tuple[str, pa.Table]]:
    """Yield each split with its part of ``rows``; ``split_of_sample`` is the split by sample number."""
    split = split_of_sample.take(rows["subject_id"].combine_chunks())
    for name in sorted(set(split.to_pylist())):
        yield name, rows.filter(pc.equal(split, name))


def split_rows(splits: pa.Table) -> pa.Table:
    """Return the subject splits (schema SPLITS) of ``splits.split_table``."""
    return table_of(SPLITS, {"subject_id": splits["sample"].cast(pa.int64()), "split": splits["split"]})


def code_rows(dictionary: Dictionary) -> pa.Table:
    """Return the codes (schema CODES) of the released ``dictionary``, with both names and the unit."""
    rows = [
        {
            "code": code,
            "description": f"{entry.name_en} ({entry.name_ko})",
            "parent_codes": [entry.parent] if entry.parent else [],
            "unit": entry.unit,
        }
        for code, entry in dictionary.entries.items()
    ]
    return pa.Table.from_pylist(rows, schema=CODES)


def write_dataset(folder: Path, *, release: str, day: str) -> None:
    """Write ``metadata/dataset.json`` to the folder ``meds`` of a package."""
    description = {
        "dataset_name": release,
        "dataset_version": day,
        "etl_name": "baekman",
        "etl_version": __version__,
        "meds_version": VERSION,
        "created_at": f"{day}T00:00:00",
        "site_id_columns": ["institution"],
        "other_extension_columns": ["end", "source", "episode"],
    }
    write_text(folder / "metadata" / "dataset.json", json.dumps(description, indent=1, sort_keys=True) + "\n")
