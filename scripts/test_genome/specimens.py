"""The list of specimens, their deliveries and their planted faults; deliveries and expectations follow it."""

from __future__ import annotations

from dataclasses import dataclass

DEPTH = 30.0
LOW_DEPTH = 8.0

INSTITUTION = {"first": "HANBIT", "second": "SAEBYEOK"}


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One specimen of a delivery.

    ``person`` is registered as the donor, with array genotypes; ``reads_of`` names the true donors and their shares.
    ``gate``, ``verdict`` and ``reason`` are the expected ones; ``reason`` is empty where nothing is wrong.
    """

    delivery: str
    label: str
    person: str
    entry: str = "fastq"
    lanes: int = 1
    reads_of: tuple[tuple[str, float], ...] = ()
    depth: float = DEPTH
    registered: bool = True
    sex_as_registered: bool = True
    consent: str = "granted"
    damage: str = ""
    gate: str = "qc"
    verdict: str = "accept"
    reason: str = ""

    @property
    def mixture(self) -> tuple[tuple[str, float], ...]:
        """The true donors and their shares of the reads."""
        return self.reads_of or ((self.person, 1.0),)

    @property
    def institution(self) -> str:
        """The institution that delivers the specimen."""
        return INSTITUTION[self.delivery]


def _hanbit(number: int, person: str, **more: object) -> Specimen:
    return Specimen(delivery="first", label=f"HB25-{number:05d}-G", person=person, **more)  # type: ignore[arg-type]


def _saebyeok(number: int, person: str, **more: object) -> Specimen:
    return Specimen(delivery="second", label=f"SBK.{number:06d}", person=person, **more)  # type: ignore[arg-type]


SPECIMENS = (
    _hanbit(20417, "person01", lanes=2),
    _hanbit(20418, "person02"),
    _hanbit(20419, "person03", lanes=2),
    _hanbit(20533, "person07"),
    _hanbit(20541, "person08", entry="cram"),
    _hanbit(20550, "person09", entry="gvcf"),
    _hanbit(20562, "person10", entry="bam", lanes=2),
    _hanbit(20601, "person11", damage="checksum", gate="intake", verdict="reject", reason="checksum_wrong"),
    _hanbit(20607, "person12", damage="truncated", gate="intake", verdict="reject", reason="truncated"),
    _hanbit(20614, "person13", depth=LOW_DEPTH, verdict="reject", reason="low_coverage"),
    _hanbit(
        20622,
        "person14",
        reads_of=(("person14", 0.9), ("person08", 0.1)),
        verdict="reject",
        reason="contamination",
    ),
    _hanbit(20630, "person15", reads_of=(("person11", 1.0),), verdict="reject", reason="identity_mismatch"),
    _hanbit(20638, "person16", sex_as_registered=False, verdict="hold", reason="sex_discordant"),
    _hanbit(20645, "person17", registered=False, gate="intake", verdict="reject", reason="not_registered"),
    _hanbit(20651, "person18", consent="refused", gate="intake", verdict="reject", reason="no_consent"),
    _saebyeok(310024, "person04"),
    _saebyeok(310025, "person05"),
    _saebyeok(310026, "person06", lanes=2),
    _saebyeok(310042, "person19"),
    _saebyeok(
        310057,
        "person20",
        reads_of=(("person20", 0.98), ("person04", 0.02)),
        verdict="hold",
        reason="contamination",
    ),
)
