"""The specimens of deliveries as a person sees them: with the verdicts of the gates and the decision on them.

Everything shown here is pseudonymous, and needs no registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.intake.reasons import REPEATED
from baekman.verdicts import CAME_AGAIN, GATES, Reason, Verdict, merge
from baekman.workspace.decisions import SpecimenDecision, listed_decisions
from baekman.workspace.denied import read_mark, withdrawn_participants
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.waiting import Waiting, came_again_in, verdicts_of, waiting_in

_LIST = "`baekman hold list` lists the specimens that wait"


@dataclass(frozen=True, kw_only=True)
class HeldSpecimen:
    """A specimen in a delivery: the verdicts of its gates, and the newest decision on it, or None."""

    folder: DeliveryFolder
    specimen_id: str
    participant_id: str | None
    verdicts: tuple[Verdict, ...]
    waiting: Waiting | None
    decision: SpecimenDecision | None

    @property
    def verdict(self) -> str:
        """The worst decision of the gates."""
        return merge(self.verdicts)[self.specimen_id]

    @property
    def seen(self) -> tuple[Verdict, ...]:
        """The verdicts that a person decides on."""
        return tuple(
            verdict.of_gate
            for verdict in self.verdicts
            if verdict.failures and (verdict.decision is None or verdict.is_rejected_by_person)
        )

    @property
    def failures(self) -> tuple[Reason, ...]:
        """The reasons of ``seen`` that are more than notes."""
        return tuple(reason for verdict in self.seen for reason in verdict.failures)

    @property
    def has_come_again(self) -> bool:
        """True if the delivery brought the specimen after another delivery had brought reads of the participant."""
        return any(reason.code in CAME_AGAIN for verdict in self.verdicts for reason in verdict.reasons)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``baekman hold show``."""
        return {
            "delivery": self.folder.id,
            "specimen": self.specimen_id,
            "participant": self.participant_id,
            "verdict": self.verdict,
            "since": self.waiting.since if self.waiting else None,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "decision": self.decision.to_json() if self.decision else None,
        }


def waiting_specimens(folders: Iterable[DeliveryFolder]) -> Iterator[dict[str, Any]]:
    """Yield ``delivery``, ``verdict`` and the values of ``Waiting`` of each specimen of ``folders`` to decide on.

    They are held (``hold``), or rejected (``reject``) since their reads came again.
    """
    for folder in folders:
        verdicts = list(verdicts_of(folder))
        for word, some in (("hold", waiting_in(folder, verdicts)), ("reject", came_again_in(folder, verdicts))):
            for waiting in some:
                yield {"delivery": folder.id, "verdict": word, **asdict(waiting)}


def find_specimen(workspace: Workspace, specimen_id: str) -> list[HeldSpecimen]:
    """Return a specimen in each delivery that has a verdict on it, in the order of the deliveries' IDs.

    Raises:
        InputRefused: The text is no ID of a specimen, or no delivery has a verdict on it.
    """
    require_ids([specimen_id])
    found = list(find_in_deliveries(workspace, specimen_id))
    if not found:
        raise InputRefused(unknown(workspace, specimen_id))
    return found


def require_ids(specimens: Sequence[str]) -> None:
    """Raise InputRefused when some texts are no IDs of specimens; a barcode is not repeated in the message."""
    problems = [
        Problem(
            file="SPECIMEN",
            place=f"argument {number}",
            expected="the pseudonymous ID of a specimen, S…",
            found=pseudonyms.slip(text, "S") or "another text",
            action=_LIST,
        )
        for number, text in enumerate(specimens, start=1)
        if not pseudonyms.is_valid(text, "S")
    ]
    if problems:
        raise InputRefused(problems)


def find_in_deliveries(workspace: Workspace, specimen_id: str) -> Iterator[HeldSpecimen]:
    """Yield a specimen in each delivery that has a verdict on it, in the order of the deliveries' IDs."""
    names = sorted(path.name for path in workspace.deliveries.glob("D*") if pseudonyms.is_valid(path.name, "D"))
    for folder in map(workspace.delivery, names):
        files = (folder.verdicts(gate) for gate in GATES)
        if any(file.is_file() and specimen_id.encode() in file.read_bytes() for file in files):
            yield from specimens_in(folder, {specimen_id})


def specimens_in(folder: DeliveryFolder, specimens: set[str]) -> Iterator[HeldSpecimen]:
    """Yield those of ``specimens`` on which the delivery has a verdict."""
    verdicts = list(verdicts_of(folder))
    waiting = {each.specimen: each for each in waiting_in(folder, verdicts)}
    decisions = {decision.specimen_id: decision for decision in listed_decisions(folder)}
    for specimen_id in sorted(specimens):
        own = tuple(verdict for verdict in verdicts if verdict.specimen_id == specimen_id)
        if own:
            yield HeldSpecimen(
                folder=folder,
                specimen_id=specimen_id,
                participant_id=own[0].participant_id,
                verdicts=own,
                waiting=waiting.get(specimen_id),
                decision=decisions.get(specimen_id),
            )


def others_of_participant(held: HeldSpecimen) -> list[HeldSpecimen]:
    """Return the other specimens of the participant that wait in the delivery because the participant is repeated."""
    others = {
        verdict.specimen_id
        for verdict in verdicts_of(held.folder)
        if verdict.participant_id == held.participant_id and verdict.specimen_id != held.specimen_id
    }
    return [
        other
        for other in specimens_in(held.folder, others)
        if any(reason.code == REPEATED for reason in other.failures)
    ]


def unknown(workspace: Workspace, specimen_id: str) -> Problem:
    """Return the problem of a specimen that no delivery has a verdict on."""
    for participant_id in withdrawn_participants(workspace):
        if specimen_id in read_mark(workspace, participant_id)["specimens"]:
            return Problem(
                file=specimen_id,
                expected="a specimen of a participant with consent in force",
                found="a specimen of a participant who has withdrawn",
                action="nothing is left to decide",
            )
    return Problem(
        file=specimen_id,
        expected="a specimen with a verdict in a delivery of this workspace",
        found="none",
        action=f"check the ID and --workspace; {_LIST}",
    )
