"""The participants and gVCFs that a batch is made of: their list, and those who wait for a batch."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.files.digests import read_sealed, write_sealed
from baekman.genome.ploidy import SEXES
from baekman.pseudonyms import PARTICIPANT_ID

GVCF_ENDINGS = (".vcf", ".vcf.gz", ".bcf", ".gvcf", ".gvcf.gz")
A_LIST = "give a text file with a line for each gVCF: participant_id, tab, path of the gVCF"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A participant of a batch, and the path of the participant's gVCF."""

    participant_id: str
    gvcf: str
    sex: str = "unknown"

    @property
    def label(self) -> str:
        """Return the name of the gVCF in errors; it has no path."""
        return f"gVCF of {self.participant_id}"


def read_members(path: Path, *, without: Container[str] = ()) -> list[Member]:
    """Read a list of gVCFs: ``participant_id <TAB> path [<TAB> sex]``, no header; ``#`` begins a comment line.

    A relative path starts at the list's folder, or else at the current folder. Lines of the participants ``without``
    are skipped. Raises InputRefused with all bad lines at once.
    """
    problems: list[Problem] = []
    members: list[Member] = []
    seen: dict[str, int] = {}
    files: dict[tuple[int, int], int] = {}

    def refuse(number: int, expected: str, found: str) -> None:
        problems.append(Problem(file=path.name, place=f"line {number}", expected=expected, found=found))

    text = _text_of(path)
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if not line.strip() or line.startswith("#") or (number == 1 and fields[0] == "participant_id"):
            continue
        if fields[0] in without:
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
        if not exists and number == 1 and fields[1].lower() in ("path", "gvcf", "file"):
            refuse(number, "no header, or one that begins with participant_id", "names of columns")
        elif not exists:
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


def _text_of(path: Path) -> str:
    """Return the text of a list of gVCFs; raise InputRefused for no file, other bytes, and a gVCF in its place."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError:
        raise InputRefused(Problem(file=path.name, expected="a list of gVCFs", found="none that can be read")) from None
    except UnicodeDecodeError:
        is_gvcf = path.name.endswith(GVCF_ENDINGS)
        problem = Problem(file=path.name, expected="UTF-8 text", found="a gVCF" if is_gvcf else "other bytes")
        raise InputRefused(replace(problem, action=A_LIST) if is_gvcf else problem) from None
    if text.startswith("##fileformat=VCF"):
        raise InputRefused(Problem(file=path.name, expected="a list of gVCFs", found="a gVCF", action=A_LIST))
    return text


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


# -- members who wait, in no snapshot, until there are enough for a batch (``cohort.min_batch``)


@dataclass(frozen=True, kw_only=True)
class WaitingMember:
    """A member of ``batch`` who waits, with the content (digest and counts) and the call rows of the gVCF."""

    batch: str
    member: Member
    content: str
    call_rows: int


def read_waiting(folder: Path) -> list[WaitingMember]:
    """Return the members who wait in ``folder``, by batch; raise DamagedFile for a file with other bytes."""
    waiting = []
    for path in sorted(folder.glob("*.json")):
        with suppress(FileNotFoundError):  # a withdrawal deletes it
            waiting += [
                WaitingMember(
                    batch=path.stem,
                    member=Member(**row["member"]),
                    content=row["content"],
                    call_rows=row["call_rows"],
                )
                for row in read_sealed(path)["members"]
            ]
    return waiting


def keep_waiting(folder: Path, batch: str, members: Sequence[WaitingMember]) -> None:
    """Let ``members`` of a batch wait in ``folder``, and no others of it. The caller holds the store's lock."""
    path = folder / f"{batch}.json"
    if not members:
        path.unlink(missing_ok=True)
        return
    rows = [{"member": asdict(each.member), "content": each.content, "call_rows": each.call_rows} for each in members]
    write_sealed(path, {"members": rows})


def stop_waiting(folder: Path, participants: Collection[str]) -> None:
    """Delete ``participants`` from those who wait, without a trace. The caller holds the store's lock."""
    for unfinished in folder.glob(".*.tmp"):  # of a writer that was killed
        unfinished.unlink(missing_ok=True)
    waiting = read_waiting(folder)
    for batch in sorted({each.batch for each in waiting if each.member.participant_id in participants}):
        staying = [each for each in waiting if each.batch == batch and each.member.participant_id not in participants]
        keep_waiting(folder, batch, staying)
