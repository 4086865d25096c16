"""Records of rare disease as GA4GH Phenopackets 2, JSON Lines: a phenopacket for each participant with an HPO term.

``phenopackets.jsonl`` is one file, since the size of a participant's own file would say how much is known of them.
``coverage.parquet`` has the days that each source has seen: a term that is absent from a phenopacket was not excluded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

from baekman.files.atomic import atomic_folder
from baekman.records.dictionary import Dictionary
from baekman.records.export.frames import bounded_connection, load, parquet_writer, portions, rows
from baekman.records.export.source import RecordSource
from baekman.records.omop.codes import meaning_of
from baekman.records.schema import COVERAGE

SCHEMA_VERSION = "2.0"
HPO = "HPO"
# code systems of diseases: prefix of the CURIE, name, page, beginning of an IRI
RESOURCES = {
    "HPO": ("HP", "Human Phenotype Ontology", "https://hpo.jax.org/", "http://purl.obolibrary.org/obo/HP_"),
    "ORPHA": ("ORPHA", "Orphanet", "https://www.orpha.net/", "http://www.orpha.net/ORDO/Orphanet_"),
    "OMIM": ("OMIM", "Online Mendelian Inheritance in Man", "https://omim.org/", "https://omim.org/entry/"),
    "MONDO": (
        "MONDO",
        "Mondo Disease Ontology",
        "https://mondo.monarchinitiative.org/",
        "http://purl.obolibrary.org/obo/MONDO_",
    ),
    "SNOMED": ("SNOMEDCT", "SNOMED CT", "https://www.snomed.org/", "http://snomed.info/id/"),
    "KCD8": (
        "KCD8",
        "Korean Standard Classification of Diseases, 8th revision",
        "https://kssc.kostat.go.kr/",
        "urn:kcd8:",
    ),
    "KCD7": (
        "KCD7",
        "Korean Standard Classification of Diseases, 7th revision",
        "https://kssc.kostat.go.kr/",
        "urn:kcd7:",
    ),
    "ICD10": ("ICD10", "ICD-10", "https://icd.who.int/", "https://icd.who.int/browse10/2019/en#/"),
    "ICD10CM": (
        "ICD10CM",
        "ICD-10-CM",
        "https://www.cdc.gov/nchs/icd/",
        "https://icd10cmtool.cdc.gov/?fy=FY2024&query=",
    ),
}
_TERMS = pa.schema([(name, pa.string()) for name in ("code", "id", "label", "part", "system")])
_RESOURCES = pa.schema([(name, pa.string()) for name in ("system", "id", "name", "url", "prefix", "iri")])

_PACKETS = """
    WITH terms_of AS (
        SELECT e.participant_id, t.part, t.id, t.label, t.system,
            strftime(min(e.time), '%Y-%m-%dT00:00:00Z') AS onset
        FROM events e JOIN terms t USING (code) GROUP BY ALL),
    people AS (SELECT DISTINCT participant_id FROM terms_of WHERE part = 'feature'),
    features AS (
        SELECT participant_id,
            list({'type': {'id': id, 'label': label}, 'onset': {'timestamp': onset}} ORDER BY id) AS l
        FROM terms_of WHERE part = 'feature' GROUP BY participant_id),
    diseases AS (
        SELECT participant_id,
            list({'term': {'id': id, 'label': label}, 'onset': {'timestamp': onset}} ORDER BY id) AS l
        FROM terms_of WHERE part = 'disease' GROUP BY participant_id),
    used AS (
        SELECT participant_id, list(DISTINCT {'id': r.id, 'name': r.name, 'url': r.url, 'version': 'unknown',
            'namespacePrefix': r.prefix, 'iriPrefix': r.iri} ORDER BY {'id': r.id, 'name': r.name, 'url': r.url,
            'version': 'unknown', 'namespacePrefix': r.prefix, 'iriPrefix': r.iri}) AS l
        FROM terms_of JOIN resources r USING (system) GROUP BY participant_id),
    sexes AS (
        SELECT participant_id, min(CASE split_part(category, ' ', 1) WHEN '8507' THEN 'MALE' WHEN '8532' THEN 'FEMALE'
            ELSE 'UNKNOWN_SEX' END) AS sex
        FROM events WHERE code = 'OMOP/gender' GROUP BY participant_id),
    seen AS (SELECT participant_id, strftime(max(last), '%Y-%m-%dT00:00:00Z') AS last FROM coverage GROUP BY 1)
    SELECT to_json({
        'id': participant_id,
        'subject': {'id': participant_id, 'sex': coalesce(sex, 'UNKNOWN_SEX'), 'timeAtLastEncounter':
            {'timestamp': seen.last}},
        'phenotypicFeatures': features.l,
        'diseases': coalesce(diseases.l, []),
        'metaData': {'created': $created, 'createdBy': 'baekman', 'resources': used.l,
            'phenopacketSchemaVersion': $version}}) AS packet
    FROM people JOIN features USING (participant_id) JOIN used USING (participant_id)
    LEFT JOIN diseases USING (participant_id) LEFT JOIN sexes USING (participant_id)
    LEFT JOIN seen USING (participant_id) ORDER BY participant_id"""

_SEEN = """
    SELECT c.* FROM coverage c SEMI JOIN (
        SELECT participant_id FROM events JOIN terms USING (code) WHERE part = 'feature'
    ) p USING (participant_id) ORDER BY ALL"""


def write_phenopackets(
    source: RecordSource,
    output: Path,
    *,
    day: date | None = None,
    before_output: Callable[[], None] = lambda: None,
) -> int:
    """Write the phenopackets of ``source`` into the new folder ``output``; return their number.

    ``day``: the date that they state, by default today. ``before_output`` is called when all files are written,
    before ``output`` appears.
    """
    created = f"{day or datetime.now(UTC).date()}T00:00:00Z"
    count = 0
    values = {"created": created, "version": SCHEMA_VERSION}
    with atomic_folder(output.absolute()) as folder, bounded_connection() as connection:
        load(connection, "terms", _terms(source.dictionary))
        load(connection, "resources", _resources())
        with (
            (folder / "phenopackets.jsonl").open("w", encoding="utf-8") as lines,
            parquet_writer(folder / "coverage.parquet", COVERAGE) as seen,
        ):
            for events, coverage in portions(source):
                load(connection, "events", events)
                load(connection, "coverage", coverage)
                packets = connection.execute(_PACKETS, values).fetchall()
                if packets:
                    lines.writelines(f"{packet}\n" for (packet,) in packets)
                    seen.write_table(rows(connection, _SEEN, COVERAGE))
                count += len(packets)
        before_output()
    return count


def _resources() -> pa.Table:
    resources = [
        {"system": system, "id": prefix.lower(), "name": name, "url": url, "prefix": prefix, "iri": iri}
        for system, (prefix, name, url, iri) in RESOURCES.items()
    ]
    return pa.Table.from_pylist(resources, _RESOURCES)


def _terms(dictionary: Dictionary) -> pa.Table:
    """Return the codes that are terms of a phenopacket, with CURIE, label and part (``feature`` or ``disease``)."""
    terms = []
    for code, entry in dictionary.entries.items():
        system, text = code.split("/", 1)
        meaning = meaning_of(entry.uri)
        if system not in RESOURCES or (meaning is not None and meaning.mapping != "condition_occurrence"):
            continue
        part = "feature" if system == HPO else "disease"
        plain = text.split("+")[0].split(":")[0]
        identifier = f"{RESOURCES[system][0]}:{plain}"
        terms.append({"code": code, "id": identifier, "label": entry.name_en, "part": part, "system": system})
    return pa.Table.from_pylist(terms, _TERMS)
