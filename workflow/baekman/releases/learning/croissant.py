"""``croissant.json``: the tables of a package for tools of machine learning (Croissant 1.0, MLCommons)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from baekman.arrow import open_parquet
from baekman.files.atomic import write_text
from baekman.releases.package.about import LICENCE, About

NAME = "croissant.json"
CONFORMS = "http://mlcommons.org/croissant/1.0"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "recordSet": "cr:recordSet",
    "field": "cr:field",
    "source": "cr:source",
    "fileSet": "cr:fileSet",
    "extract": "cr:extract",
    "column": "cr:column",
    "includes": "cr:includes",
    "repeated": "cr:repeated",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
}


def write_croissant(folder: Path, about: About, files: Mapping[str, str]) -> None:
    """Write croissant.json for the Parquet files of a package; ``files``: SHA-256 (hex) of each file by its path."""
    groups: dict[str, list[str]] = {}
    for name in sorted(about.rows):
        groups.setdefault(str(Path(name).parent) if "/" in name else name, []).append(name)
    description = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": about.release,
        "description": f"{about.title}: tier {about.tier}, {about.members} participants.",
        "conformsTo": CONFORMS,
        "license": LICENCE,
        "url": f"urn:baekman:release:{about.release}",
        "version": "1.0.0",
        "datePublished": about.day,
        "distribution": [*_distribution(groups, files)],
        "recordSet": [_record_set(folder, group, names[0]) for group, names in sorted(groups.items())],
    }
    write_text(folder / NAME, json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def _distribution(groups: Mapping[str, list[str]], files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for group, names in sorted(groups.items()):
        for name in names:
            yield {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "encodingFormat": "application/vnd.apache.parquet",
                "sha256": files[name],
            }
        if names != [group]:
            yield {
                "@type": "cr:FileSet",
                "@id": f"{group}/",
                "name": f"{group}/",
                "encodingFormat": "application/vnd.apache.parquet",
                "includes": f"{group}/*.parquet",
            }


def _record_set(folder: Path, group: str, first: str) -> dict[str, Any]:
    """Return the fields of a group of files with one schema, that of its ``first`` file."""
    with open_parquet(folder / first) as file:
        schema = file.schema_arrow
    source = {"fileObject": {"@id": first}} if group == first else {"fileSet": {"@id": f"{group}/"}}
    name = group.removesuffix(".parquet")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field.name}",
                "name": field.name,
                "dataType": _type(field.type),
                **({"repeated": True} if pa.types.is_nested(field.type) else {}),
                "source": {**source, "extract": {"column": field.name}},
            }
            for field in schema
        ],
    }


def _type(kind: pa.DataType) -> str:
    if pa.types.is_nested(kind):
        return _type(kind.value_type)
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:Date" if pa.types.is_temporal(kind) else "sc:Text"
