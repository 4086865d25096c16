"""The list of gVCFs that a batch is made of, with participants and sexes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.genome.ploidy import SEXES
from baekman.pseudonyms import PARTICIPANT_ID


@dataclass(frozen=True, kw_only=True)
class Member:
    """A participant of a batch, and the path of the participant's gVCF."""

    participant_id: str
    gvcf: str
    sex: str = "unknown"


def read_members(path: Path) -> list[Member]:
    """Read a list of gVCFs: ``participant_id <TAB> path [<TAB> sex]``, no header; ``#`` begins a comment line.

    A relative path starts at the list's folder, or else at the current folder. Raises InputRefused with all bad lines
    at once.
    """
    problems: list[Problem] = []
    members: list[Member] = []
    seen: dict[str, int] = {}
    files: dict[tuple[int, int], int] = {}

    def refuse(number: int, expected: str, found: str) -> None:
        problems.append(Problem(file=path.name, place=f"line {number}", expected=expected, found=found))

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError:
        raise InputRefused(Problem(file=path.name, expected="a list of gVCFs", found="none that can be read")) from None
    except UnicodeDecodeError:
        raise InputRefused(Problem(file=path.name, expected="UTF-8 text", found="other bytes")) from None
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if not line.strip() or line.startswith("#") or (number == 1 and fields[0] == "participant_id"):
            continue
        if len(fields) not in (2, 3):
            found = (
                "columns separated by spaces" if len(fields) == 1 and " " in line.strip() else f"{len(fields)} columns"
            )
            refuse(number, "participant_id, path and optionally sex, separated by tabs", found)
            continue
        participant, location = fields[0], Path(fields[1])
        sex = fields[2] if len(fields) == 3 and fields[2] else "unknown"
        if not location.is_absolute() and _is_file(path.parent / location):
            location = path.parent / location
        exists = _is_file(location)
        if not PARTICIPANT_ID.fullmatch(participant):
            shape = "'.reference' at its end" if participant.endswith(".reference") else "something else"
            refuse(number, "an ID of letters, digits, '.', '_' or '-'", shape)
        if participant in seen:
            refuse(number, "each participant once", f"the participant of line {seen[participant]} again")
        if not exists:
            refuse(number, "a gVCF that exists", "no such file")
        elif (inode := _identity(location)) in files:
            refuse(number, "each gVCF once", f"the file of line {files[inode]} again")
        else:
            files[inode] = number
        if sex not in SEXES:
            refuse(number, f"sex as one of {', '.join(SEXES)}", "something else")
        seen[participant] = number
        if exists:
            members.append(Member(participant_id=participant, gvcf=str(location.resolve()), sex=sex))
    if not members and not problems:
        refuse(1, "at least one participant", "none")
    if problems:
        raise InputRefused(problems)
    return members


def _identity(path: Path) -> tuple[int, int]:
    """Return what links and hard links of a file share."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_file(path: Path) -> bool:
    """Return whether there is such a file; False for a path that is too long, a loop of links or not permitted."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
