"""Records as MEDS 0.4, the Medical Event Data Standard.

``data/<n>.parquet``: the events, of a subject in one file, sorted by time. ``metadata/codes.parquet``: the dictionary.
``metadata/dataset.json``: the dataset. Next to these, which MEDS has: ``coverage/<n>.parquet`` with the days that
each source has seen, since MEDS cannot say that nothing happened; and ``subjects.parquet`` with the participants.

A subject's number is a digest of the participant's ID and of a secret of this export that is kept nowhere. Numbers,
order and names of files say nothing about IDs. ``subjects.parquet`` alone leads back; keep it when you hand the rest
on.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from baekman.files.atomic import atomic_folder
from baekman.records.dictionary import Dictionary
from baekman.records.export.frames import Shards, bounded_connection, load, parquet_writer, portions, rows, write
from baekman.records.export.source import RecordSource
from baekman.records.omop.codes import CONVENTIONS

MEDS_VERSION = "0.4.1"
LEAST_SUBJECTS = 1000  # of a file
BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"

MEDS_EVENTS = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.large_string()),
        pa.field("unit", pa.string()),
        pa.field("end", pa.timestamp("us")),
        pa.field("source", pa.string()),
        pa.field("institution", pa.string()),
        pa.field("episode", pa.string()),
    ]
)
MEDS_CODES = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),
        pa.field("description", pa.string()),
        pa.field("parent_codes", pa.list_(pa.string())),
        pa.field("name_ko", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("uri", pa.string()),
    ]
)
MEDS_COVERAGE = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("first", pa.date32(), nullable=False),
        pa.field("last", pa.date32(), nullable=False),
    ]
)
SUBJECTS = pa.schema(
    [pa.field("subject_id", pa.int64(), nullable=False), pa.field("participant_id", pa.string(), nullable=False)]
)

# births and deaths of any source are events of MEDS too, once for each subject
_EVENTS = f"""
    SELECT s.subject_id, e.time, e.code, e.value AS numeric_value, e.category AS text_value, u.unit, e."end", e.source,
        e.institution, e.episode
    FROM events e JOIN subjects s USING (participant_id) LEFT JOIN units u USING (code)
    UNION ALL
    SELECT s.subject_id, min(e.time), CASE WHEN e.code = 'OMOP/birth' THEN '{BIRTH}' ELSE '{DEATH}' END AS code,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM events e JOIN subjects s USING (participant_id)
    WHERE e.code = 'OMOP/birth' OR e.code LIKE 'DEATH/%'
    GROUP BY s.subject_id, e.code = 'OMOP/birth', 3
    ORDER BY subject_id, time, code, "end", numeric_value, text_value, source, institution, episode"""
_COVERAGE = """
    SELECT s.subject_id, c.source, c.first, c.last FROM coverage c JOIN subjects s USING (participant_id)
    ORDER BY subject_id, source, first"""
_SUBJECTS = """
    CREATE OR REPLACE TEMP TABLE subjects AS
    SELECT participant_id, CAST(('0x' || substr(sha256($salt || participant_id), 1, 15)) AS BIGINT) AS subject_id
    FROM (SELECT participant_id FROM events UNION SELECT participant_id FROM coverage)"""


def write_meds(
    source: RecordSource,
    output: Path,
    *,
    salt: str = "",
    now: datetime | None = None,
    before_output: Callable[[], None] = lambda: None,
) -> int:
    """Write the records of ``source`` into the new folder ``output`` as MEDS; return the number of subjects.

    ``salt``: the secret that subjects are numbered by, by default a random one. ``now``: the time that the dataset
    states. ``before_output`` is called when all files are written, before ``output`` appears.
    """
    salt = salt or secrets.token_hex(16)
    count = 0
    with atomic_folder(output.absolute()) as folder, bounded_connection() as connection:
        for name in ("data", "coverage", "metadata"):
            (folder / name).mkdir()
        load(connection, "units", source.dictionary.table.select(["code", "unit"]))
        order = sorted(source.buckets(), key=lambda bucket: hashlib.sha256(f"{salt}{bucket}".encode()).hexdigest())
        shards = Shards(folder, {"data": MEDS_EVENTS, "coverage": MEDS_COVERAGE}, least=LEAST_SUBJECTS)
        with parquet_writer(folder / "subjects.parquet", SUBJECTS) as subjects:
            for events, coverage in portions(source, buckets=order):
                load(connection, "events", events)
                load(connection, "coverage", coverage)
                connection.execute(_SUBJECTS, {"salt": salt})
                listed = "SELECT subject_id, participant_id FROM subjects ORDER BY subject_id"
                numbers = rows(connection, listed, SUBJECTS)
                if numbers.num_rows:
                    subjects.write_table(numbers)
                    data = rows(connection, _EVENTS, MEDS_EVENTS)
                    seen = rows(connection, _COVERAGE, MEDS_COVERAGE)
                    shards.add({"data": data, "coverage": seen}, subjects=numbers.num_rows)
                count += numbers.num_rows
        shards.finish()
        write(codes_of(source.dictionary), folder / "metadata" / "codes.parquet")
        text = json.dumps(_dataset(now or datetime.now(UTC)), indent=2, sort_keys=True)
        (folder / "metadata" / "dataset.json").write_text(f"{text}\n", encoding="utf-8")
        before_output()
    return count


def codes_of(dictionary: Dictionary) -> pa.Table:
    """Return the codes of ``dictionary`` as MEDS describes codes (``MEDS_CODES``), with those of birth and death."""
    described: list[dict[str, object]] = [
        {"code": BIRTH, "description": "Birth", "name_ko": "출생", "kind": "event"},
        {"code": DEATH, "description": "Death", "name_ko": "사망", "kind": "event"},
    ]
    described += [
        {
            "code": code,
            "description": entry.name_en,
            "parent_codes": [entry.parent] if entry.parent else None,
            "name_ko": entry.name_ko,
            "kind": entry.kind,
            "unit": entry.unit,
            "uri": entry.uri,
        }
        for code, entry in dictionary.entries.items()
        if not code.startswith(CONVENTIONS)
    ]
    return pa.Table.from_pylist(described, MEDS_CODES)


def _dataset(now: datetime) -> dict[str, object]:
    return {
        "dataset_name": "baekman",
        "etl_name": "baekman",
        "etl_version": version("baekman"),
        "meds_version": MEDS_VERSION,
        "created_at": now.isoformat(timespec="seconds"),
        "code_modifier_columns": ["unit"],
        "site_id_columns": ["institution"],
        "other_extension_columns": ["end", "source", "episode"],
    }
