"""A delivery as the institution wrote it: ``delivery.yaml`` and ``manifest.tsv``.

Only what the two files say; whether the delivered files keep it is the intake's to find out.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from baekman.config.schema_errors import Fault, faults
from baekman.errors import InputRefused, Problem
from baekman.files.untrusted import FileFault, NoPermission, open_inside

FileKind = Literal["fastq_1", "fastq_2", "bam", "cram", "gvcf"]

SHEET = "delivery.yaml"
MANIFEST = "manifest.tsv"
COLUMNS = ("specimen_id", "file", "kind", "read_group", "sha256", "md5", "size")
REQUIRED_COLUMNS = ("specimen_id", "file", "kind", "size")
# what somebody meant as a size; too short for a number of a person
QUOTABLE_SIZE = re.compile(r"[0-9][0-9.,eE+kKMGB ]{0,7}")

SHEET_LIMIT = 1 << 16
MANIFEST_LIMIT = 1 << 28
FIELD_LIMIT = 4096
REASON_LIMIT = 200
GIVE_ACCESS = "give who runs this access to it, then run the same command again"


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One delivered file. ``row`` is the line of the manifest (the header is line 1); sums in lower case."""

    row: int
    barcode: str
    file: str
    kind: FileKind
    read_group: str
    sha256: str
    md5: str
    size: int

    @property
    def encrypted(self) -> bool:
        """Whether the file is a Crypt4GH container; sums and size are then those of the plaintext."""
        return self.file.endswith(".c4gh")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery. Everything here but ``digest`` is confidential. Specimens keep the manifest's order."""

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
    """Read ``delivery.yaml`` and ``manifest.tsv`` of ``folder``.

    ``digest`` is the SHA-256 over the bytes of both. Raises ``InputRefused`` with every fault at once
    (file, line, column, expected, found); confidential fields are described, never quoted.
    """
    reasons: list[Problem] = []
    sheet_bytes = _read_bounded(folder, SHEET, SHEET_LIMIT, reasons)
    manifest_bytes = _read_bounded(folder, MANIFEST, MANIFEST_LIMIT, reasons)
    sheet = parse_sheet(sheet_bytes, reasons=reasons) if sheet_bytes is not None else {}
    rows = parse_manifest(manifest_bytes, reasons=reasons) if manifest_bytes is not None else []
    if reasons:
        raise InputRefused(_limited(reasons))
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


def require_permission(delivery: Delivery) -> None:
    """Raises ``InputRefused`` with every file that may not be read: nobody's specimen is rejected for that."""
    reasons = []
    for row in delivery.rows:
        try:
            open_inside(delivery.folder, row.file).close()
        except NoPermission as fault:
            place = f"line {row.row}, column file"
            expected = "a file that may be read"
            reasons.append(Problem(file=MANIFEST, place=place, expected=expected, found=str(fault), action=GIVE_ACCESS))
        except FileFault:
            continue  # the specimen's own fault
    if reasons:
        raise InputRefused(_limited(reasons))


def parse_sheet(content: bytes, *, reasons: list[Problem]) -> dict[str, str]:
    """The four texts of ``delivery.yaml``, stripped; faults are appended to ``reasons``."""
    text = _decoded(content, SHEET, reasons)
    if text is None:
        return {}
    try:
        loaded = _load_sheet(text)
    except (yaml.YAMLError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reasons.append(Problem(file=SHEET, place=place, expected="`key: value` lines of YAML", found="something else"))
        return {}
    if not isinstance(loaded, dict):
        reasons.append(Problem(file=SHEET, expected="`key: value` lines of YAML", found=_described(loaded)))
        return {}
    sheet = {key: value.strip() for key, value in loaded.items() if isinstance(value, str)}
    checked = {**loaded, **sheet}
    reasons.extend(_sheet_problem(fault) for fault in faults("delivery", checked))
    return sheet


def parse_manifest(content: bytes, *, reasons: list[Problem]) -> list[ManifestRow]:
    """The rows of ``manifest.tsv``; faults are appended to ``reasons``. Unknown columns are left aside."""
    text = _decoded(content, MANIFEST, reasons)
    if text is None:
        return []
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    header = [name.strip() for name in lines[0].split("\t")]
    if not _header_is_sound(header, reasons):
        return []
    rows: list[ManifestRow] = []
    seen: dict[tuple[str, str, str], int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = _fields(line, header, number, reasons)
        if fields is None:
            continue
        found = [_row_problem(fault, number) for fault in faults("manifest", fields)]
        reasons.extend(found)
        if found:
            if len(reasons) > REASON_LIMIT:
                return rows
            continue
        row = _row(fields, number)
        key = (row.barcode, row.kind, row.read_group)
        if row.kind.startswith("fastq") and key in seen:
            reasons.append(
                Problem(
                    file=MANIFEST,
                    place=f"line {number}, column read_group",
                    expected=f"one {row.kind} per specimen and read group",
                    found=f"a second one (the first is in line {seen[key]})",
                    action="give every lane its own read_group",
                )
            )
        seen.setdefault(key, number)
        rows.append(row)
    if not rows and not reasons:
        reasons.append(Problem(file=MANIFEST, expected="one line per delivered file", found="only the header"))
    return rows


def _read_bounded(folder: Path, name: str, limit: int, reasons: list[Problem]) -> bytes | None:
    """The bytes of ``name`` in ``folder``; None, with a reason, when absent, no plain file or too big."""
    try:
        with open_inside(folder, name) as opened:
            content = opened.read(limit + 1)
    except FileFault as fault:
        action = GIVE_ACCESS if isinstance(fault, NoPermission) else ""
        reasons.append(
            Problem(file=name, expected="a plain file in the delivery's folder", found=str(fault), action=action)
        )
        return None
    if len(content) > limit:
        reasons.append(Problem(file=name, expected=f"at most {limit} bytes", found="more"))
        return None
    return content


def _decoded(content: bytes, file: str, reasons: list[Problem]) -> str | None:
    """``content`` as text without NUL; None, with a reason that names the line, otherwise."""
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        reasons.append(Problem(file=file, place=f"line {line}", expected="text", found="a NUL byte"))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        reasons.append(Problem(file=file, place=f"line {line}", expected="UTF-8 text", found="other bytes"))
        return None


class _TextLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Scalars stay the texts that were written (``delivery: 20260101`` is no number), aliases are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("alias")
        return super().compose_node(parent, index)


_TextLoader.yaml_implicit_resolvers = {}


def _load_sheet(text: str) -> Any:
    return yaml.load(text, Loader=_TextLoader)


def _header_is_sound(header: list[str], reasons: list[Problem]) -> bool:
    """Whether the manifest's header has every column needed, once."""
    before = len(reasons)
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if not {"sha256", "md5"} & set(header):
        missing.append("sha256 (or md5)")
    for name in missing:
        reasons.append(
            Problem(
                file=MANIFEST,
                place="line 1",
                expected=f"the column {name}",
                found=f"{len(header)} columns without it",
                action="the manifest is tab separated, with the columns " + " ".join(COLUMNS),
            )
        )
    for name in COLUMNS:
        if header.count(name) > 1:
            reasons.append(
                Problem(
                    file=MANIFEST,
                    place="line 1",
                    expected=f"one column {name}",
                    found=str(header.count(name)),
                )
            )
    return len(reasons) == before


def _fields(line: str, header: list[str], number: int, reasons: list[Problem]) -> dict[str, str] | None:
    """The known, non-empty fields of a line by column; None, with a reason, when it is malformed."""
    values = line.split("\t")
    if len(values) != len(header):
        reasons.append(
            Problem(
                file=MANIFEST,
                place=f"line {number}",
                expected=f"{len(header)} tab-separated fields, as in the header",
                found=str(len(values)),
            )
        )
        return None
    oversized = [name for name, value in zip(header, values, strict=True) if len(value) > FIELD_LIMIT]
    for name in oversized:
        reasons.append(
            Problem(
                file=MANIFEST,
                place=f"line {number}, column {name}" if name in COLUMNS else f"line {number}",
                expected=f"at most {FIELD_LIMIT} characters",
                found="more",
            )
        )
    if oversized:
        return None
    stripped = ((name, value.strip(" ")) for name, value in zip(header, values, strict=True))
    return {name: value for name, value in stripped if name in COLUMNS and value}


def _row(fields: Mapping[str, str], number: int) -> ManifestRow:
    kind: Any = fields["kind"]
    return ManifestRow(
        row=number,
        barcode=fields["specimen_id"],
        file=fields["file"],
        kind=kind,
        read_group=fields.get("read_group", ""),
        sha256=fields.get("sha256", "").lower(),
        md5=fields.get("md5", "").lower(),
        size=int(fields["size"]),
    )


def _sheet_problem(fault: Fault) -> Problem:
    """Return the line that reports ``fault`` of ``delivery.yaml``."""
    found = "none" if fault.rule == "required" else _described(fault.value)
    return Problem(file=SHEET, place=fault.place, expected=fault.expected, found=found)


def _row_problem(fault: Fault, number: int) -> Problem:
    """Return the line that reports ``fault`` of line ``number`` of the manifest."""
    if fault.rule == "required":
        place = f"line {number}, column {fault.keys[0]}"
        return Problem(file=MANIFEST, place=place, expected="a value", found="an empty field")
    if fault.rule == "anyOf":
        place, expected = f"line {number}, column sha256", "a checksum (sha256 or md5)"
        return Problem(file=MANIFEST, place=place, expected=expected, found="an empty field")
    quotable = _is_quotable(fault.place, str(fault.value))
    return Problem(
        file=MANIFEST,
        place=f"line {number}, column {fault.place}",
        expected=fault.expected,
        found=repr(fault.value) if quotable else _described(fault.value),
    )


def _is_quotable(column: str, value: str) -> bool:
    """Whether ``value`` is a slip of the pen, and not another column's value that was put into the wrong place."""
    if column == "kind":
        return bool(difflib.get_close_matches(value, get_args(FileKind)))
    return column == "size" and bool(QUOTABLE_SIZE.fullmatch(value))


def _described(value: object) -> str:
    """What ``value`` is, without quoting it."""
    if isinstance(value, str):
        if not value:
            return "an empty text"
        control = any(ord(character) < 32 or ord(character) == 127 for character in value)
        kind = "with a control character" if control else "of another form"
        return f"{len(value)} characters {kind}"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "nothing"


def _limited(reasons: list[Problem]) -> list[Problem]:
    """At most ``REASON_LIMIT`` reasons, the last of which says that there are more."""
    if len(reasons) <= REASON_LIMIT:
        return reasons
    more = Problem(file=MANIFEST, expected="a manifest", found="more faults than are listed here")
    return [*reasons[:REASON_LIMIT], more]
