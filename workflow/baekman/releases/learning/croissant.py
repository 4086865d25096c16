"""``croissant.json``: the tables of a package for tools of machine learning (Croissant 1.0, MLCommons)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from baekman.arrow import open_parquet
from baekman.files.atomic import write_text
from baekman.releases.package.about import LICENCE, About

NAME = "croissant.json"
PARQUET = "application/x-parquet"  # the name by which mlcroissant knows the format
CONFORMS = "http://mlcommons.org/croissant/1.0"
# the context of the specification, with every key: without an entry, readers take a key for one of schema.org
TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}


def write_croissant(folder: Path, about: About, files: Mapping[str, str]) -> None:
    """Write croissant.json for the Parquet files of a package; ``files``: SHA-256 (hex) of each file by its path."""
    groups = _groups(folder, sorted(about.rows))
    description = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": about.release,
        "description": f"{about.title}: tier {about.tier}, {about.members} participants.",
        "conformsTo": CONFORMS,
        "citeAs": f"{about.title}, release {about.release}",
        "license": LICENCE,
        "url": f"urn:baekman:release:{about.release}",
        "version": "1.0.0",
        "datePublished": about.day,
        "distribution": [*_distribution(groups, files)],
        "recordSet": [_record_set(folder, group, names[0]) for group, names in sorted(groups.items())],
    }
    write_text(folder / NAME, json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def _groups(folder: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the files by group: a folder where its files have one schema, else the file itself."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(str(Path(name).parent), []).append(name)
    groups: dict[str, list[str]] = {}
    for parent, files in folders.items():
        first, *others = (_schema(folder / name) for name in files)
        if parent != "." and all(first.equals(schema) for schema in others):
            groups[parent] = files
        else:
            groups |= {name: [name] for name in files}
    return groups


def _schema(file: Path) -> pa.Schema:
    with open_parquet(file) as opened:
        return opened.schema_arrow


def _distribution(groups: Mapping[str, list[str]], files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for group, names in sorted(groups.items()):
        for name in names:
            yield {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "encodingFormat": PARQUET,
                "sha256": files[name],
            }
        if names != [group]:
            yield {
                "@type": "cr:FileSet",
                "@id": f"{group}/",
                "name": f"{group}/",
                "encodingFormat": PARQUET,
                "includes": f"{group}/*.parquet",
            }


def _record_set(folder: Path, group: str, first: str) -> dict[str, Any]:
    """Return the fields of a group of files with one schema, that of its ``first`` file."""
    schema = _schema(folder / first)
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
