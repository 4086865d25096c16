"""The verification of a freeze: alone, or against the cohort store that it was made from."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baekman import audit
from baekman.arrow import open_parquet
from baekman.cohort.snapshot import numbers, read_snapshot
from baekman.cohort.store import Store
from baekman.columns import type_name
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import LIST, digest_of, read_digests, read_sealed
from baekman.freezes.counts import count_findings, counting_sentence
from baekman.freezes.files import (
    DESCRIBING,
    DICTIONARY_FILE,
    FILES,
    PARTICIPANTS_FILE,
    SETTINGS_FILE,
    SUMS_FILE,
    listed_sums,
    read_sums,
)
from baekman.freezes.folder import ANNOTATIONS, SITES, TABLES
from baekman.freezes.reading import Freeze, each_id, left_since, open_freeze
from baekman.tables.files import open_table, table_path
from baekman.tables.keys import TableKeys, is_encrypted, open_keys
from baekman.tables.seals import DATASETS, seal_path, seals_digest, verify_tables
from baekman.tables.seals import FOLDER as SEALS

AGAIN = "write it again with `baekman cohort freeze`"
Described = Mapping[str, list[tuple[str, str]]]  # columns and types by file, as the dictionary has them


def notes_on(output: Path, *, home: Path | None = None) -> list[str]:
    """Return sentences on what the verification of a freeze covers."""
    freeze = open_freeze(output, home=home)
    if freeze.missing:
        return freeze.notes
    if _needs_keys(freeze, _keys(freeze)):
        unread = "its tables are encrypted and the keys are not here: their rows, AC and AN were not counted"
        return [*freeze.notes, unread]
    if lost := _without_key(freeze, _keys(freeze)):
        people = "1 participant" if lost == 1 else f"{lost} participants"
        unread = f"keys of {people} are not here: tables were compared by their bytes, AC and AN were not counted"
        return [*freeze.notes, unread]
    return [*freeze.notes, counting_sentence(freeze)]


def verify_freeze(output: Path, store: Store | None = None, *, home: Path | None = None) -> Iterator[str]:
    """Yield a line for each thing in a freeze that is damaged, missing, added, renamed or contradicts another.

    All bytes are compared with both lists of digests; then numbers of rows, schemas, participants, settings, AC and AN
    with each other. With ``store`` the freeze must also be one of this cohort: its audit log names it, and a snapshot
    that still exists has its sites. ``home``: without ``store``, the workspace with the keys of encrypted tables.
    """
    try:
        noted = read_sealed(output / LIST)
    except (DamagedFile, FileNotFoundError) as error:
        yield f"{LIST}: {'damaged' if isinstance(error, DamagedFile) else 'absent'}; {AGAIN}"
        return
    findings = [*(_of_cohort(noted, store) if store is not None else ()), *_bytes(output, noted)]
    if not findings and "described" in noted:
        findings += _sums(output)
    yield from findings
    if not findings and "described" in noted:
        home = store.home if store is not None else home
        yield from (f"{finding}; {AGAIN}" for finding in _content(open_freeze(output, home=home), noted))


def _of_cohort(noted: Mapping[str, Any], store: Store) -> Iterator[str]:
    logged = [event["output_hash"] for event in audit.events(store.workspace) if event["action"] == "cohort.freeze"]
    if logged and noted["snapshot"] not in logged:
        yield f"{LIST}: a freeze that the audit log does not name; {AGAIN}"
    # a freeze without some participants has sites of its own
    for number in numbers(store):
        if read_snapshot(store, number).content == noted["snapshot"]:
            listed = read_digests(store.sites(number) / LIST) or {}
            for name in sorted(file for file in _sites(noted) if noted["files"][file] != listed.get(Path(file).name)):
                yield f"{name}: other sites than those of snapshot {number}; {AGAIN}"


def _sites(noted: Mapping[str, Any]) -> list[str]:
    """Return the files of sites that the list of a freeze names."""
    return [name for name in noted["files"] if name.startswith(f"{SITES}/")]


def _bytes(output: Path, noted: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each file with other bytes than the lists have, and for each that is not in them."""
    folders = (output / SITES, output / ANNOTATIONS)
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    present = {path.relative_to(output).as_posix() for path in files}
    for name in sorted(present - set(noted["files"])):
        yield f"{name}: not in {LIST}, so it was added or renamed; delete it"
    for name, digest in {**noted["files"], **noted.get("described", {})}.items():
        if not (output / name).is_file():
            yield f"{name}: absent; {AGAIN}"
        elif digest_of(output / name) != digest:
            yield f"{name}: another SHA-256 than when it was written; {AGAIN}"
    findings = [f"{TABLES}/{finding}" for finding in verify_tables(output / TABLES)] if noted["participants"] else []
    yield from findings
    if not findings and (noted["participants"], noted["seals"]) != seals_digest(output / TABLES):
        yield f"{TABLES}/hashes: other seals than the {noted['participants']} of the freeze; {AGAIN}"


def _sums(output: Path) -> Iterator[str]:
    """Yield a line for each line of ``SHA256SUMS`` that is not that of a file."""
    for name in (PARTICIPANTS_FILE, SUMS_FILE):
        if not (output / name).is_file():
            yield f"{name}: absent; {AGAIN}"
            return
    try:
        for listed, (sha256, name) in zip_longest(read_sums(output), listed_sums(output), fillvalue=("", "")):
            if listed[1] != name:
                yield _difference(output, listed[1], name)
                return
            if listed[0] != sha256:
                yield f"{name}: another SHA-256 than {SUMS_FILE} has; {AGAIN}"
    except DamagedFile:
        yield f"{SUMS_FILE}: damaged; {AGAIN}"


def _difference(output: Path, listed: str, name: str) -> str:
    """Return the line on the first file ``name`` for which ``SHA256SUMS`` has another, ``listed``; "" at an end."""
    if name and all(name != each for _, each in read_sums(output)):
        if name in (LIST, PARTICIPANTS_FILE, *DESCRIBING) or "/" in name:
            return f"{SUMS_FILE}: no line of {name}; {AGAIN}"
        return f"{name}: not in {SUMS_FILE}, so it was added or renamed; delete it"
    if listed and not (output / listed).is_file():
        return f"{listed}: absent; {AGAIN}"
    return f"{SUMS_FILE}: {listed or 'nothing'} in place of {name or 'its end'}; {AGAIN}"


# -- content


def _keys(freeze: Freeze) -> TableKeys | None:
    return None if freeze.store.is_bare else open_keys(freeze.store.workspace)


def _needs_keys(freeze: Freeze, keys: TableKeys | None) -> bool:
    return keys is None and freeze.is_encrypted


def _without_key(freeze: Freeze, keys: TableKeys | None) -> int:
    """Return the number of participants with an encrypted table and without a key."""
    if keys is None:
        return 0
    names = each_id(freeze.participants())
    return sum(not keys.has(name) and is_encrypted(table_path(freeze.tables, name)) for name in names)


def _content(freeze: Freeze, noted: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each number, schema or ID in the whole files of a freeze that contradicts another."""
    keys = _keys(freeze)
    yield from _settings(freeze, noted)
    count, is_sorted = 0, True
    before = ""
    for participant in each_id(freeze.participants()):
        is_sorted &= before < participant and seal_path(freeze.tables, participant).is_file()
        count, before = count + 1, participant
    # all have a seal and nobody is there twice, so equal numbers are equal sets
    if not is_sorted or count != sum(1 for _ in (freeze.tables / SEALS).glob("*/*.json")):
        yield f"{PARTICIPANTS_FILE}: other participants than those with tables"
        return
    try:
        yield from _rows_and_schemas(freeze, noted, _described(freeze.path), keys)
        if not _needs_keys(freeze, keys):
            yield from count_findings(freeze, keys=keys, left=left_since(noted))
    except DamagedFile:
        raise
    except (InputRefused, OSError):  # OSError: of Arrow, for another key
        pass  # a damaged, destroyed or renewed key is a matter of the keys; the bytes of its tables are whole


def _settings(freeze: Freeze, noted: Mapping[str, Any]) -> Iterator[str]:
    settings = json.loads((freeze.path / SETTINGS_FILE).read_bytes())
    text = json.dumps(settings["store"], indent=1) + "\n" + json.dumps(settings["site_filters"])
    if hashlib.sha256(text.encode()).hexdigest() != noted["settings"] or settings["snapshot"] != noted["snapshot"]:
        yield f"{SETTINGS_FILE}: other settings than those that {LIST} names"


def _described(output: Path) -> Described:
    """Return the columns and types of each kind of file by the dictionary of a freeze."""
    described: dict[str, list[tuple[str, str]]] = {}
    with (output / DICTIONARY_FILE).open(encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE):
            described.setdefault(row["file"], []).append((row["column"], row["type"]))
    return described


def _rows_and_schemas(
    freeze: Freeze, noted: Mapping[str, Any], described: Described, keys: TableKeys | None
) -> Iterator[str]:
    """Yield a line for each file with other columns than the dictionary, and for each number of rows that differs."""
    kinds = {pattern.split("/")[-3] if pattern.count("/") > 1 else pattern.split("/")[0]: pattern for pattern in FILES}
    rows = dict.fromkeys((SITES, *DATASETS), 0)

    def examine(name: str, kind: str, file: pq.ParquetFile) -> Iterator[str]:
        if kind in rows:
            rows[kind] += file.metadata.num_rows
            metadata = file.schema_arrow.metadata or {}
            if any(metadata.get(f"baekman.{key}".encode()) != noted[key].encode() for key in ("snapshot", "settings")):
                yield f"{name}: of another snapshot or other settings than the freeze"
        if described.get(kinds[kind]) != columns_of(file.schema_arrow):
            yield f"{name}: other columns than {DICTIONARY_FILE} has"

    for name, kind in ((PARTICIPANTS_FILE, PARTICIPANTS_FILE), *((name, SITES) for name in freeze.site_files())):
        with open_parquet(freeze.path / name) as file:
            yield from examine(name, kind, file)
    for name in freeze.annotation_files():
        with open_parquet(freeze.path / name) as file:
            yield from examine(name, ANNOTATIONS, file)
            with open_parquet(freeze.path / SITES / Path(name).name) as sites:
                if sites.metadata.num_rows != file.metadata.num_rows:
                    yield f"{name}: {file.metadata.num_rows} rows, and its sites have {sites.metadata.num_rows}"
    if _needs_keys(freeze, keys):
        rows.update({dataset: noted["rows"][dataset] for dataset in DATASETS})
    else:
        for participant in each_id(freeze.participants()):
            for dataset in DATASETS:
                path = table_path(freeze.tables, participant, dataset=dataset)
                with open_table(path, participant=participant, keys=keys) as file:
                    yield from examine(path.relative_to(freeze.path).as_posix(), dataset, file)
    for kind, count in rows.items():
        expected = noted["rows"][kind]
        if count > expected or (count < expected and (kind == SITES or not left_since(noted))):
            place = kind if kind == SITES else f"{TABLES}/{kind}"
            yield f"{place}: {count} rows, and {LIST} has {expected}"


def columns_of(schema: pa.Schema) -> list[tuple[str, str]]:
    """Return the columns of a schema and their types as the dictionary names them."""
    return [(field.name, type_name(field.type)) for field in schema]
