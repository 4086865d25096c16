"""A delivery as the institution wrote it: ``delivery.yaml`` and ``manifest.tsv``.

Only these two files are read here; intake checks the delivered files against them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baekman.config.sheet import read_sheet, schema_problems
from baekman.errors import InputRefused, Problem
from baekman.files.untrusted import FileFault, NoPermission, open_inside, unreadable_folders
from baekman.intake.manifest import MANIFEST, ManifestRow, limited, parse_manifest

SHEET = "delivery.yaml"
SHEET_LIMIT = 1 << 16  # bytes
MANIFEST_LIMIT = 1 << 28  # bytes
GIVE_ACCESS = "give the user who runs this access to it, then run the same command again"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery. Everything except ``digest`` is confidential.

    ``name`` is the institution's name of it. ``digest`` is the SHA-256 of the bytes of both files.
    """

    folder: Path
    name: str
    institution: str
    platform: str
    reference: str
    rows: tuple[ManifestRow, ...]
    digest: str

    @property
    def specimens(self) -> dict[str, tuple[ManifestRow, ...]]:
        """The rows of each specimen by its barcode, in the manifest's order."""
        grouped: dict[str, list[ManifestRow]] = {}
        for row in self.rows:
            grouped.setdefault(row.barcode, []).append(row)
        return {barcode: tuple(rows) for barcode, rows in grouped.items()}


def read_delivery(folder: Path) -> Delivery:
    """Read ``delivery.yaml`` and ``manifest.tsv`` in ``folder``.

    Raises:
        InputRefused: The delivery is malformed, with all faults at once (file, line, column, expected, found).
            Confidential values are described, never quoted.
    """
    problems: list[Problem] = []
    sheet_bytes = read_bounded(folder, SHEET, SHEET_LIMIT, problems)
    manifest_bytes = read_bounded(folder, MANIFEST, MANIFEST_LIMIT, problems)
    sheet = parse_sheet(sheet_bytes, problems=problems) if sheet_bytes is not None else {}
    rows = parse_manifest(manifest_bytes, problems=problems) if manifest_bytes is not None else []
    if problems:
        raise InputRefused(limited(problems))
    digest = hashlib.sha256()
    for content in (sheet_bytes, manifest_bytes):
        digest.update(hashlib.sha256(content or b"").digest())
    return Delivery(
        folder=folder,
        name=sheet["delivery"],
        institution=sheet["institution"],
        platform=sheet["platform"],
        reference=sheet["reference"],
        rows=tuple(rows),
        digest=digest.hexdigest(),
    )


@dataclass(frozen=True, kw_only=True)
class FileStates:
    """The delivered files as the desk finds them, by row of the manifest; no content is read.

    ``fingerprints``: size and times (ns). ``faults``: why a file cannot be opened.
    """

    fingerprints: Mapping[int, list[int]]
    faults: Mapping[int, FileFault]

    def of(self, rows: Iterable[ManifestRow]) -> dict[int, list[int]]:
        """Return the fingerprints of the files of ``rows``."""
        return {row.row: self.fingerprints[row.row] for row in rows if row.row in self.fingerprints}


def file_states(delivery: Delivery) -> FileStates:
    """Return the states of the delivered files.

    Raises:
        InputRefused: Files may not be read, with a line for each; that rejects no specimen.
    """
    fingerprints: dict[int, list[int]] = {}
    faults: dict[int, FileFault] = {}
    problems = folder_problems(delivery.folder)
    for row in delivery.rows:
        try:
            with open_inside(delivery.folder, row.file) as opened:
                status = os.fstat(opened.fileno())
            fingerprints[row.row] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        except NoPermission as fault:
            problems.append(
                Problem(
                    file=MANIFEST,
                    place=f"line {row.row}, column file",
                    expected="a file that may be read",
                    found=str(fault),
                    action=GIVE_ACCESS,
                )
            )
        except FileFault as fault:
            faults[row.row] = fault
    if problems:
        raise InputRefused(limited(problems))
    return FileStates(fingerprints=fingerprints, faults=faults)


def folder_problems(folder: Path) -> list[Problem]:
    """Return a problem if folders below a delivery's ``folder`` may not be read: nobody knows what they hold."""
    unreadable = unreadable_folders(folder)
    if not unreadable:
        return []
    return [
        Problem(
            file="a delivery",
            expected="folders that may be read",
            found="a folder that may not" if unreadable == 1 else f"{unreadable} folders that may not",
            action=GIVE_ACCESS,
        )
    ]


def parse_sheet(content: bytes, *, problems: list[Problem]) -> dict[str, str]:
    """Return the four texts of ``delivery.yaml``, stripped, and append its faults to ``problems``."""
    loaded = read_sheet(content, file=SHEET, problems=problems)
    if loaded is None:
        return {}
    sheet = {key: value.strip() for key, value in loaded.items() if isinstance(value, str)}
    problems.extend(schema_problems({**loaded, **sheet}, schema="delivery", file=SHEET))
    return sheet


def read_bounded(folder: Path, name: str, limit: int, problems: list[Problem]) -> bytes | None:
    """Return the bytes of a file; append a problem and return None when it is absent, not plain or too large."""
    try:
        with open_inside(folder, name) as opened:
            content = opened.read(limit + 1)
    except FileFault as fault:
        action = GIVE_ACCESS if isinstance(fault, NoPermission) else ""
        expected = "a plain file in the delivery's folder"
        problems.append(Problem(file=name, expected=expected, found=str(fault), action=action))
        return None
    if len(content) > limit:
        problems.append(Problem(file=name, expected=f"at most {limit} bytes", found="more"))
        return None
    return content
