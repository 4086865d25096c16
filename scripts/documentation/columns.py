"""The tables of the reference that come from columns: schemas, registration table, manifest, records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from baekman.annotation.schema import ANNOTATIONS_COLUMNS
from baekman.cohort import schema as cohort
from baekman.columns import DICTIONARY_COLUMNS as DICTIONARY_NAMES
from baekman.columns import Columns, TextColumn, type_name
from baekman.config.schema_errors import read_schema
from baekman.freezes import files
from baekman.records import schema as records
from baekman.records.dictionary import DICTIONARY_COLUMNS
from baekman.records.intake.tables import COVERAGE_FILE, EVENTS_FILE
from baekman.registry.registration import REGISTRATION_COLUMNS
from baekman.relatedness.schema import COMPONENTS_COLUMNS, KINSHIP_COLUMNS, VARIANTS_COLUMNS
from baekman.report.verdict_table import VERDICT_COLUMNS
from documentation.markdown import code, table


def columns_table(columns: Columns) -> str:
    """Return the table of ``columns``; one that has no unit, or no null, in any column has no such heading."""
    parts: list[tuple[str, Any]] = [
        ("Column", lambda each: code(each.name)),
        ("Type", lambda each: type_name(each.type)),
        ("Unit", lambda each: each.unit),
        ("Null means", lambda each: each.null),
        ("Meaning", lambda each: each.description),
    ]
    shown = [(name, cell) for name, cell in parts if any(cell(each) for each in columns)]
    missing = any(each.null.startswith("-1") for each in columns)
    names = ["-1 means" if missing and name == "Null means" else name for name, _ in shown]
    return table(names, [[cell(each).removeprefix("-1: ") for _, cell in shown] for each in columns])


def text_table(columns: Sequence[TextColumn]) -> str:
    """Return the table of the columns of a text table."""
    rows = [(code(each.name), "yes" if each.is_required else "", each.values, each.meaning) for each in columns]
    if not any(each.is_required for each in columns):
        return table(["Column", "Values", "Meaning"], [(name, *rest) for name, _, *rest in rows])
    return table(["Column", "Needed", "Values", "Meaning"], rows)


# the values of keys that are lists or mappings
_VALUES = {"period": "`{from: YYYY-MM-DD, to: YYYY-MM-DD}`", "files": "a list of file names"}


def object_table(name: str, *, first: str) -> str:
    """Return the table of the keys of the package's JSON Schema ``name``; ``first`` is the heading of the keys."""
    schema = read_schema(name)
    needed = set(schema["required"])
    rows = []
    for key, rule in schema["properties"].items():
        values = ", ".join(code(value) for value in rule["enum"]) if "enum" in rule else _VALUES.get(key)
        values = values or rule["$comment"]
        rows.append((code(key), "yes" if key in needed else "", values, rule["description"]))
    return table([first, "Needed", "Values", "Meaning"], rows)


def regions() -> dict[str, str]:
    """Return the tables of columns in hand-written pages, by the name of their region."""
    return {
        "calls": columns_table(cohort.CALLS_COLUMNS),
        "reference": columns_table(cohort.REFERENCE_COLUMNS),
        "census": columns_table(cohort.CENSUS_COLUMNS),
        "called": columns_table(cohort.CALLED_COLUMNS),
        "roster": columns_table(cohort.ROSTER_COLUMNS),
        "manifest": object_table("manifest", first="Column"),
        "sheet": object_table("records", first="Key"),
        "file of events": text_table(EVENTS_FILE),
        "dictionary": columns_table(DICTIONARY_COLUMNS),
    }


PARQUET: tuple[tuple[str, str, Columns], ...] = (
    (
        "Variants",
        "`tables/variants/<bucket>/<ID>.parquet`: a row per allele that the participant carries, or that their record "
        "names with evidence, in the order of the genome.",
        cohort.TABLE_COLUMNS,
    ),
    (
        "Reference blocks",
        "`tables/reference/<bucket>/<ID>.parquet`: a row per block of positions with evidence of the reference. A "
        "position without a variant and without a block has no coverage.",
        cohort.REFERENCE_TABLE_COLUMNS,
    ),
    ("Sites", "`cohort/sites/<snapshot>/<shard>.parquet`: a row per allele of the snapshot.", cohort.SITES_COLUMNS),
    (
        "Annotations",
        "`cohort/annotations/<sites>/<shard>.parquet`, where the configuration names files (`annotate`): a row per row "
        "of the sites of the snapshot.",
        ANNOTATIONS_COLUMNS,
    ),
    (
        "Pairs of relatives",
        "`cohort/relatedness/<state>/kinship.parquet`, of `baekman cohort relatedness`: a row per pair of the third "
        "degree or closer.",
        KINSHIP_COLUMNS,
    ),
    (
        "Components of participants",
        "`cohort/relatedness/<state>/components.parquet`: a row per participant.",
        COMPONENTS_COLUMNS,
    ),
    (
        "Variants of relatedness",
        "`cohort/relatedness/<state>/variants.parquet`: a row per variant that kinship and components are made of.",
        VARIANTS_COLUMNS,
    ),
    (
        "Events of records",
        "`records/batches/<delivery>/events/<bucket>.parquet`, and the view `events` of `baekman records query`: a row "
        "per dated fact.",
        records.EVENTS_COLUMNS,
    ),
    (
        "Coverage of records",
        "`records/batches/<delivery>/coverage/<bucket>.parquet`, which has `as_of` too, and the view `coverage`: a row "
        "per interval of days.",
        records.COVERAGE_COLUMNS,
    ),
    (
        "Firsts of records",
        "`records/batches/<delivery>/firsts/`, sorted by code, and the view `firsts`: a row per participant and code.",
        records.FIRSTS_COLUMNS,
    ),
)


def tables_page() -> str:
    """Return the page of all tables."""
    parts = [
        "# Tables and files, column by column\n",
        "Positions are 1-based, and ends inclusive. Phred values are integers. A column without an entry under\n"
        "*Null means* is never null. `P…`, `S…` and `D…`: pseudonymous IDs of participants, specimens, deliveries.\n",
        "## Registration table\n",
        "For `baekman registry import`: tab- or comma-separated UTF-8 with a header, the columns in any\n"
        "order; optional columns may be empty or absent. `participant_type`, `registered_sex` and `consent` are read\n"
        "in upper case too.\n",
        text_table(REGISTRATION_COLUMNS),
        "## manifest.tsv\n",
        "A row per file of a delivery ([contents of a delivery](../deliveries.md)). `sha256` or `md5` is needed.\n",
        object_table("manifest", first="Column"),
        "## delivery.yaml\n",
        object_table("delivery", first="Key"),
        "## Files of records\n",
        "`records.yaml` of a delivery of [records](../records.md); `period` or `coverage` is needed:\n",
        object_table("records", first="Key"),
        "`events.csv` or `events.parquet`:\n",
        text_table(EVENTS_FILE),
        "`coverage.csv` or `coverage.parquet`:\n",
        text_table(COVERAGE_FILE),
    ]
    for heading, text, columns in PARQUET:
        parts += [f"## {heading}\n", f"{text}\n", columns_table(columns)]
    parts += [
        "## Files of a freeze\n",
        "Next to `sites/` and `tables/`, which have the columns above (tables also `flags` of\n"
        "calls and `state` of segments, as in batches), a folder of `baekman cohort freeze` has these\n"
        "tables. Its `dictionary.tsv` has a row for each column of all files, in the columns "
        f"{', '.join(code(name) for name in DICTIONARY_NAMES)}.\n",
    ]
    for name in (files.PARTICIPANTS_FILE, files.CONTIGS_FILE, files.SHARDS_FILE):
        parts += [f"`{name}`:\n", columns_table(files.FILES[name])]
    parts += [
        "## verdicts.tsv\n",
        "`deliveries/D…/report/verdicts.tsv`: a row per reason of a verdict, or per verdict without a reason.\n",
        text_table(VERDICT_COLUMNS),
    ]
    return "\n".join(parts)
