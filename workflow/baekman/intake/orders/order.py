"""The order to inspect one specimen: everything that a job needs, sealed, since jobs never open the registry.

Orders hold confidential values. Each is sealed with a random key of its reception; the key lies in a file of its own,
which only its owner can read. ``workspace.abandoned_orders`` destroys both.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from baekman.cohort.settings import rules_of
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.genome.contigs import Contig
from baekman.genome.reference import cached_reference
from baekman.gvcf.header import is_ignored
from baekman.intake.contents import FASTQ, Contents
from baekman.intake.crypt4gh import RecipientKey
from baekman.intake.manifest import ManifestRow
from baekman.intake.reasons import REPEATED, Finding
from baekman.key_ring import Key, KeyRing, Purpose, make_key_file, read_key_file
from baekman.verdicts import CAME_AGAIN, GateMode, Reason, Verdict
from baekman.workspace.decisions import SpecimenDecision, apply
from baekman.workspace.paths import DeliveryFolder, Workspace

PURPOSE = Purpose("intake order", "the run that receives the delivery", "BAEKMAN_ORDER_KEY", "baekman receive")
# The settings that decide how a specimen is inspected and staged.
SETTINGS = ("aligned_input", "cohort", "gates", "reference", "rename_reads")


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order to inspect one specimen. Everything except IDs, settings and platform is confidential.

    Attributes:
        delivery: the delivery's ID.
        folder: the folder of the delivery.
        barcode: the institution's label.
        rows: the specimen's rows of the manifest.
        specimen_id: the pseudonym of the specimen.
        participant_id: the pseudonym of the participant.
        sex: the registered sex.
        array_genotypes: the path of the registered array genotypes, or None.
        array_digest: the SHA-256 that they must have; None where the registry does not know it.
        identifiers: the registered strings to look for.
        findings: what the desk found; no finding blocks.
        fingerprints: size and times (ns) of each file, by row of the manifest.
        settings: the values of ``SETTINGS``.
        platform: the platform as SAM names it.
        claims_reference: the delivery states that it was made with our reference.
        secret: the private key of encrypted files, or None.
        decision: the decision of a person on the specimen, or None.
        noted: the note of an earlier inspection, if only the array genotypes are to be staged; else None.
        first_lane: the number of the first lane; more than 1 where the reads are merged with earlier ones.
    """

    delivery: str
    folder: Path
    barcode: str
    rows: tuple[ManifestRow, ...]
    specimen_id: str
    participant_id: str
    sex: str
    array_genotypes: Path | None
    array_digest: str | None
    identifiers: tuple[str, ...] = field(repr=False)
    findings: tuple[Finding, ...]
    fingerprints: Mapping[int, list[int]]
    settings: Mapping[str, Any]
    platform: str
    claims_reference: bool
    secret: bytes | None = field(default=None, repr=False)
    decision: SpecimenDecision | None = None
    noted: Mapping[str, Any] | None = None
    first_lane: int = 1

    @property
    def identity(self) -> str:
        """The name of the record that a sealed order is."""
        return f"order {self.delivery} {self.participant_id}"

    @property
    def key(self) -> RecipientKey | None:
        """The key that opens encrypted files."""
        return RecipientKey(self.secret) if self.secret else None

    @property
    def gate(self) -> GateMode:
        """The mode of the intake gate."""
        mode: GateMode = self.settings["gates"]["intake"]
        return mode

    def goes_on(self, findings: Sequence[Finding]) -> bool:
        """Return whether the specimen is staged with these ``findings``."""
        return not is_blocked(findings, self.decision) and self._verdict(findings).passes(self.gate)

    def _verdict(self, findings: Iterable[Finding]) -> Verdict:
        """Return the verdict that follows from ``findings``, after the decision of a person."""
        reasons = [finding.reason for finding in findings]
        verdict = Verdict.of(
            specimen_id=self.specimen_id, participant_id=self.participant_id, gate="intake", reasons=reasons
        )
        return apply(verdict, self.decision)

    @property
    def realigns(self) -> bool:
        """True if delivered alignments are replaced; several files of one specimen always are, and merged reads."""
        return self.settings["aligned_input"] == "realign" or len(self.rows) > 1 or self.first_lane > 1

    @property
    def streams(self) -> bool:
        """True if the reads may go to an aligner while they are examined: FASTQ that gets names without any text.

        An aligner writes names of reads to its messages. Reads of a specimen that cannot pass are not aligned.
        """
        is_fastq = self.rows[0].kind in FASTQ and self.renames and self.noted is None
        return is_fastq and self.goes_on(self.findings)

    @property
    def rule(self) -> str:
        """The rule that carries out the order."""
        return {"": "inspect", "lane": "inspect_and_align"}.get(self.form, "merge_lanes")

    @property
    def form(self) -> str:
        """The form of the order: ``lane`` or ``lanes-N`` for FASTQ in streams, else ""."""
        if not self.streams:
            return ""
        return "lane" if len(self.lanes) == 1 else f"lanes-{len(self.lanes)}"

    @property
    def lanes(self) -> dict[str, list[ManifestRow]]:
        """The pairs of FASTQ files by lane (``L1``, ``L2``, …), first mates first, in the manifest's order."""
        pairs: dict[str, list[ManifestRow]] = {}
        for row in self.rows:
            pairs.setdefault(row.read_group, []).append(row)
        return {
            f"L{number}": sorted(pair, key=lambda row: row.kind)
            for number, pair in enumerate(pairs.values(), start=self.first_lane)
        }

    @property
    def digest(self) -> str:
        """The SHA-256 of what decides an alignment, except its recipe: files, lanes, platform, names of reads."""
        values = {
            "files": {str(row): list(self.fingerprints[row]) for row in sorted(self.fingerprints)},
            "lanes": {lane: [row.row for row in pair] for lane, pair in self.lanes.items()},
            "participant": self.participant_id,
            "platform": self.platform,
            "rename_reads": self.renames,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def renames(self) -> bool:
        """True if reads get numbers as names."""
        return bool(self.settings["rename_reads"])

    def to_json(self) -> dict[str, Any]:
        """Return the order as JSON values."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "folder": str(self.folder),
            "rows": [asdict(row) for row in self.rows],
            "array_genotypes": str(self.array_genotypes) if self.array_genotypes else None,
            "findings": [{"reason": item.reason.to_json(), "rows": list(item.rows)} for item in self.findings],
            "fingerprints": {str(row): values for row, values in self.fingerprints.items()},
            "secret": base64.b64encode(self.secret).decode() if self.secret else None,
            "decision": self.decision.to_json() if self.decision else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Order:
        """Return the order that ``to_json`` described."""
        return cls(
            **{name: values[name] for name in _PLAIN if name != "identifiers"},
            identifiers=tuple(values["identifiers"]),
            folder=Path(values["folder"]),
            rows=tuple(ManifestRow(**row) for row in values["rows"]),
            array_genotypes=Path(values["array_genotypes"]) if values["array_genotypes"] else None,
            findings=tuple(
                Finding(reason=Reason.from_json(item["reason"]), rows=tuple(item["rows"]))
                for item in values["findings"]
            ),
            fingerprints={int(row): item for row, item in values["fingerprints"].items()},
            secret=base64.b64decode(values["secret"]) if values["secret"] else None,
            decision=SpecimenDecision.from_json(values["decision"]) if values["decision"] else None,
        )


def is_blocked(findings: Iterable[Finding], decision: SpecimenDecision | None) -> bool:
    """Return whether a specimen with ``findings`` cannot go on.

    A person may decide which of several specimens counts, and on reads that came again in a later delivery.
    """
    made = decision.made if decision is not None and decision.made.decision == "accept" else None
    decided = frozenset[str]()
    if made is not None:
        decided = CAME_AGAIN if made.reads else frozenset({REPEATED}) if made.counts else decided
    return any(finding.blocks and finding.reason.code not in decided for finding in findings)


_PLAIN = (
    *("delivery", "barcode", "specimen_id", "participant_id", "sex", "identifiers", "settings", "platform"),
    *("claims_reference", "array_digest", "noted", "first_lane"),
)


@dataclass(frozen=True, kw_only=True)
class OpenOrder:
    """An order in the workspace where it is carried out.

    ``reference`` is the FASTA, ``contigs`` are its contigs by name. ``ring`` seals what only the desk may read.
    """

    order: Order
    workspace: Workspace
    reference: Path
    contigs: Mapping[str, Contig]
    ring: KeyRing

    @property
    def home(self) -> DeliveryFolder:
        """The delivery's folder in the workspace."""
        return self.workspace.delivery(self.order.delivery)

    def under_our_names(self, contents: Contents) -> Contents:
        """Return the contents of a gVCF with its contigs under our names, and without those that are ignored.

        A contig that records have under two names stays under the one that is not ours, so that it is refused.
        """
        rules = rules_of(self.order.settings["cohort"])
        used = [name for name in contents.used_contigs if name in self.contigs or not is_ignored(name, rules.ignored)]
        own = [rules.aliases.get(name, name) for name in used]
        return replace(
            contents,
            contigs=tuple(replace(c, name=rules.aliases.get(c.name, c.name)) for c in contents.contigs),
            used_contigs=tuple(name if own.count(ours) > 1 else ours for name, ours in zip(used, own, strict=True)),
        )


def write_orders(home: DeliveryFolder, orders: Iterable[Order]) -> KeyRing:
    """Seal ``orders`` with a new key, and write both; return the key."""
    key = Key.new(PURPOSE)
    make_key_file(home.orders_key, [key])
    ring = KeyRing([key])
    for order in orders:
        with atomic_file(home.order(order.participant_id, order.form), durable=False) as file:
            file.write_bytes(ring.seal(order.to_json(), identity=order.identity))
    return ring


def open_order(workspace: Workspace, delivery_id: str, participant_id: str) -> OpenOrder:
    """Return the order of a participant of ``delivery_id``, opened.

    Raises:
        InputRefused: There is none: the reception that wrote it has ended.
    """
    home = workspace.delivery(delivery_id)
    try:
        ring = read_key_file(home.orders_key, PURPOSE)
        file = home.find_order(participant_id)
        if file is None:
            raise FileNotFoundError
        sealed = file.read_bytes()
    except (InputRefused, FileNotFoundError):
        raise InputRefused(
            Problem(
                file=delivery_id,
                place=participant_id,
                expected="an order of the run that receives the delivery",
                found="none",
                action="receive the delivery again with the same command",
            )
        ) from None
    order = Order.from_json(ring.unseal(sealed, identity=f"order {delivery_id} {participant_id}"))
    reference, contigs = cached_reference(Path(order.settings["reference"]), cache=workspace.intake_cache)
    return OpenOrder(order=order, workspace=workspace, reference=reference, contigs=contigs, ring=ring)


def order_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of ``settings`` that an order needs."""
    return {name: settings[name] for name in SETTINGS}


def sealed_samples(opened: OpenOrder, samples: Mapping[int, Sequence[str]]) -> dict[int, str]:
    """Return the sample names inside files, by row of the manifest, sealed for the desk (hexadecimal)."""
    return {
        row: opened.ring.seal({"samples": list(names)}, identity=f"{opened.order.identity} {row}").hex()
        for row, names in samples.items()
    }


def unsealed_samples(ring: KeyRing, order: Order, sealed: Mapping[int, str]) -> dict[int, list[str]]:
    """Return what ``sealed_samples`` took."""
    return {
        row: ring.unseal(bytes.fromhex(text), identity=f"{order.identity} {row}")["samples"]
        for row, text in sealed.items()
    }
