"""Faults by JSON Schema: one for each missing key, one for all unknown keys of a place."""

from __future__ import annotations

from typing import Any

import pytest
from baekman.config.schema_errors import faults

SUM = {"sha256": "0" * 64}


@pytest.mark.parametrize(
    ("schema", "instance", "expected"),
    [
        (
            "delivery",
            {"delivery": "D-1", "platform": "MGI"},
            [
                ("", "required", ("institution",), "the key institution"),
                ("", "required", ("reference",), "the key reference"),
            ],
        ),
        (
            "qc_thresholds",
            {"metrics": {"pct_autosomes_30x": {"hold_below": 50}, "pct_autosomes_x": {}, "depth": {}, 7: {}}},
            [("metrics", "additionalProperties", ("7", "depth", "pct_autosomes_x"), None)],
        ),
        ("manifest", {"specimen_id": "B", "file": "f", "kind": "bam", "size": "1"}, [("", "anyOf", (), None)]),
        (
            "manifest",
            {"specimen_id": "B", "file": "f", "kind": "sam", "size": "1", **SUM},
            [("kind", "enum", (), "one of fastq_1 fastq_2 bam cram gvcf")],
        ),
        (
            "config",
            {"reference": "", "sites": {"low_qual": True}},
            [
                ("reference", "minLength", (), "a text that is not empty"),
                ("sites.low_qual", "type", (), "a number"),
            ],
        ),
        (
            "config",
            {"reference": "r.fa", "reference_name": "{x}"},
            [
                ("reference_name", "pattern", (), "letters, digits and . _ -"),
            ],
        ),
    ],
)
def test_a_fault_names_its_place_its_rule_and_its_keys(schema: str, instance: Any, expected: list[Any]) -> None:
    reported = [(fault.place, fault.rule, fault.keys, fault.expected) for fault in faults(schema, instance)]
    assert len(reported) == len(expected)
    for fault, wanted in zip(reported, expected, strict=True):
        assert fault[:3] == wanted[:3]
        assert wanted[3] is None or fault[3] == wanted[3]


def test_a_sound_instance_has_no_fault() -> None:
    assert faults("config", {"reference": "r.fa"}) == []
