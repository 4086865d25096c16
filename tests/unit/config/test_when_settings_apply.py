"""Every setting says when a change of it applies, and the code agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from baekman.cohort.settings import require_fixed, settings_of_store
from baekman.cohort.store import create_store
from baekman.config.loading import complete
from baekman.config.schema_errors import read_schema
from baekman.errors import InputRefused
from baekman.genome.reference import cached_reference
from support.store_tools import write_reference

APPLIES = ("cohort", "batch", "snapshot", "delivery")


def settings_of(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dotted key and the rule of every setting."""
    for key, rule in schema["properties"].items():
        if "properties" in rule:
            yield from settings_of(rule, f"{prefix}{key}.")
        elif not key.startswith("$"):
            yield prefix + key, rule


SETTINGS = dict(settings_of(read_schema("config")))


def changed(rule: dict[str, Any], folder: Path, key: str) -> Any:
    """Return another value than the default that the schema allows."""
    if key == "reference":
        return str(write_reference(folder / "other" / "ref.fa", {"c1": "ACGT" * 9 + "ACCT", "chrX": "ACGT" * 10}))
    if key == "shards":
        (folder / "shards.tsv").write_text("shard\tcontig\tstart\tend\n0\tc1\t1\t20\n1\tc1\t21\t40\n2\tchrX\t1\t40\n")
        return str(folder / "shards.tsv")
    if key in ("par_regions", "qc_thresholds", "contamination_sites", "target_regions") or "annotate" in key:
        (folder / key).write_text("chrX\t0\t10\n")
        return str(folder / key)
    if key == "cohort.gq_bands":
        return [0, 20]
    if "enum" in rule:
        return next(value for value in rule["enum"] if value != rule["default"])
    default = rule.get("default")
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return type(default)(default + 1 if rule.get("maximum", 99) > 1 else 0)
    return {"array": ["decoy"], "object": {"1": "c1"}}.get(str(rule["type"]), "another")


@pytest.mark.parametrize("key", SETTINGS)
def test_a_change_is_refused_where_it_cannot_apply(tmp_path: Path, key: str) -> None:
    rule = SETTINGS[key]
    assert rule["applies"] in APPLIES, f"say when a change of {key} applies"
    (tmp_path / "other").mkdir()
    reference = write_reference(tmp_path / "ref.fa", {"c1": "ACGT" * 10, "chrX": "ACGT" * 10})
    settings = complete({"reference": str(reference)}, source="config.yaml")
    store = create_store(tmp_path / "cohort", reference=reference, **settings_of_store(settings))
    written: dict[str, Any] = {"reference": str(reference)}
    *sections, name = key.split(".")
    target = written
    for section in sections:
        target = target.setdefault(section, {})
    target[name] = changed(rule, tmp_path, key)
    changed_settings = complete(json.loads(json.dumps(written)), source="config.yaml")
    _, contigs = cached_reference(Path(changed_settings["reference"]), cache=tmp_path / "cache")
    if rule["applies"] != "cohort":
        require_fixed(store, changed_settings, contigs=list(contigs.values()))
        return
    with pytest.raises(InputRefused) as refused:
        require_fixed(store, changed_settings, contigs=list(contigs.values()))
    (problem,) = refused.value.problems
    assert problem.place == key
    assert problem.expected != problem.found and problem.action
