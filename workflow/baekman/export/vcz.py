"""The cohort as VCF Zarr, by bio2zarr."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pysam.bcftools

from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store

# FORMAT fields that a record has only where a participant has a value
SPARSE = ("call_AD", "call_PL", "call_LAA", "call_LPL", "call_PS")
# arrays that hold no number to calculate with
SMALL = ("variant_contig", "call_genotype")


def write_vcz(store: Store, snapshot: Snapshot, *, whole: Path, output: Path) -> None:
    """Convert the BCF file ``whole``, which lies in a folder of work, to the folder ``output``."""
    from bio2zarr import vcf

    pysam.bcftools.index("-f", str(whole))
    made, columns, schema = (whole.with_name(name) for name in ("cohort.vcz", "icf", "schema.json"))
    for folder in (made, columns):
        shutil.rmtree(folder, ignore_errors=True)
    vcf.explode(str(columns), [str(whole)], worker_processes=0)
    schema.write_text(json.dumps(_schema(vcf, columns)))
    vcf.encode(str(columns), str(made), schema_path=str(schema), worker_processes=0)
    shutil.rmtree(output, ignore_errors=True)
    made.replace(output)


def _schema(vcf: Any, columns: Path) -> dict[str, Any]:
    """Return bio2zarr's schema with integers of 32 bits, and without the sparse fields that have no value.

    bio2zarr chooses the smallest integers that hold the values. Readers add to them in the same type: the end of a
    deletion, or a sum in a filter, would overflow. An array without values can have a width of 0, which vcztools does
    not read.
    """
    text = io.StringIO()
    vcf.mkschema(str(columns), text)
    schema: dict[str, Any] = json.loads(text.getvalue())
    fields = vcf.IntermediateColumnarFormat(columns).fields
    schema["fields"] = [
        field | {"dtype": "i4" if field["dtype"] in ("i1", "i2") and field["name"] not in SMALL else field["dtype"]}
        for field in schema["fields"]
        if field["name"] not in SPARSE or fields[field["source"]].vcf_field.summary.max_value >= 0
    ]
    return schema
