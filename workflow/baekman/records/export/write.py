"""The export of a store of records: consent is asked by scope, noted in the audit log, and asked again at the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa

from baekman import audit
from baekman.errors import InputRefused, Problem
from baekman.records import reading
from baekman.records.access import Records
from baekman.records.dictionary import Dictionary, read_dictionary
from baekman.records.export.meds import write_meds
from baekman.records.export.omop import FileFormat, write_omop
from baekman.records.export.phenopackets import write_phenopackets
from baekman.workspace.denied import RecordAdmission, audit_purpose, record_admission

ExportFormat = Literal["omop", "meds", "phenopackets"]
FORMATS: tuple[ExportFormat, ...] = ("omop", "meds", "phenopackets")
FILE_FORMATS: tuple[FileFormat, ...] = ("parquet", "csv")


class AdmittedRecords:
    """The records of a snapshot that an admission allows, bucket by bucket: a ``RecordSource``."""

    def __init__(self, records: Records, admission: RecordAdmission) -> None:
        self._records, self._admission = records, admission
        self._dictionary = read_dictionary(records.store.dictionary)

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary of the store."""
        return self._dictionary

    def buckets(self) -> Sequence[str]:
        """Return the buckets that have rows."""
        return reading.buckets(self._records.store, self._records.snapshot)

    def events(self, bucket: str) -> pa.Table:
        """Return the events of ``bucket`` that are allowed."""
        return reading.events(self._records.store, self._records.snapshot, bucket, scopes=self._admission)

    def coverage(self, bucket: str) -> pa.Table:
        """Return the coverage of the participants of ``bucket`` who allow any use."""
        return reading.coverage(self._records.store, self._records.snapshot, bucket, scopes=self._admission)


def export_records(records: Records, output: Path, *, format: str, files: str = "parquet") -> int:
    """Write ``records`` into the new folder ``output`` in one of ``FORMATS``; return the number of participants.

    ``files`` is the format of OMOP tables, parquet or csv. The event is in the audit log before anything is read.

    Raises:
        InputRefused: Another format, ``output`` is there already, or consent ended while the files were written.
    """
    _check(output, format=format, files=files)
    admission = _admission(records)
    audit.record_use(
        records.workspace.root,
        action="records.export",
        object=str(records.snapshot.number),
        purpose=audit_purpose(records.purpose),
        question=[format, files],
    )
    source = AdmittedRecords(records, admission)
    unchanged = partial(_require_unchanged, records, admission)
    if format == "meds":
        return write_meds(source, output, before_output=unchanged)
    if format == "phenopackets":
        return write_phenopackets(source, output, before_output=unchanged)
    return write_omop(source, output, format="csv" if files == "csv" else "parquet", before_output=unchanged)


def _admission(records: Records) -> RecordAdmission:
    return record_admission(records.workspace, purpose=records.purpose)


def _require_unchanged(records: Records, admission: RecordAdmission) -> None:
    """Raise InputRefused when consent changed since the ``admission`` was asked."""
    if _admission(records) != admission:
        raise InputRefused(
            Problem(
                file="records",
                expected="consent that stays in force while data are written",
                found="consent that changed; nothing was written",
                action="run the same command again",
            )
        )


def _check(output: Path, *, format: str, files: str) -> None:
    problems = []
    if format not in FORMATS:
        problems.append(Problem(file="--format", expected=f"one of {', '.join(FORMATS)}", found="another word"))
    if files not in FILE_FORMATS:
        problems.append(Problem(file="--files", expected=f"one of {', '.join(FILE_FORMATS)}", found="another word"))
    if files == "csv" and format in ("meds", "phenopackets"):
        problems.append(Problem(file="--files", expected="csv with --format omop alone", found=f"--format {format}"))
    if output.exists():
        action = "name another folder, or remove this one"
        problems.append(Problem(file="--output", expected="a new folder", found="one that is there", action=action))
    if problems:
        raise InputRefused(problems)
