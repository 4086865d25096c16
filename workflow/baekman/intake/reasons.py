"""The reasons of the intake gate: each has a code, a severity and advice to the institution."""

from __future__ import annotations

from dataclasses import dataclass

from baekman.verdicts import Reason, Scalar, Severity

_REGISTER = "correct the registration, then deliver the specimen again"
_RESEND = "send the file again"
_SANITISE = "remove the identifier from the file, then send it again"


@dataclass(frozen=True)
class ReasonKind:
    """The severity and advice of a code. ``blocks``: the specimen cannot go on, even if the gate only reports."""

    severity: Severity
    action: str
    blocks: bool = False


REPEATED = "participant_repeated"  # a person may decide which specimen counts
REUSED = "specimen_reused"

REASON_KINDS: dict[str, ReasonKind] = {
    # identity
    "not_registered": ReasonKind("reject", "register the specimen, then deliver it again", True),
    "barcode_lookalike": ReasonKind("reject", "correct the barcode: it only looks like a registered one", True),
    REUSED: ReasonKind("reject", "nothing, if it is the same specimen; else give it a barcode of its own", True),
    REPEATED: ReasonKind("hold", "name the specimen of the participant to use", True),
    # consent
    "no_consent": ReasonKind("reject", "do not send it without consent to genome sequencing", True),
    "consent_expired": ReasonKind("reject", "renew the consent and register it, then deliver again", True),
    "participant_withdrawn": ReasonKind("reject", "destroy the specimen and its data as the protocol says", True),
    # list of files
    "file_missing": ReasonKind("reject", _RESEND, True),
    "file_repeated": ReasonKind("reject", "name each file once in the manifest", True),
    "file_extra": ReasonKind("hold", "add the file to the manifest, or leave it out", False),
    "content_repeated": ReasonKind("reject", "send each specimen's own file: two have the same content", True),
    "mate_missing": ReasonKind("reject", "send both files of the pair", True),
    "entries_mixed": ReasonKind("reject", "send one of FASTQ, BAM, CRAM or gVCF", True),
    "path_unsafe": ReasonKind("reject", "name a file inside the delivery", True),
    "symbolic_link": ReasonKind("reject", "send the file itself, not a link", True),
    "not_a_file": ReasonKind("reject", "send a plain file", True),
    # transfer
    "size_wrong": ReasonKind("reject", _RESEND),
    "checksum_wrong": ReasonKind("reject", _RESEND),
    "truncated": ReasonKind("reject", _RESEND, True),
    "unreadable": ReasonKind("reject", "make the file again, then send it", True),
    "empty": ReasonKind("reject", "make the file again, then send it", True),
    "format_wrong": ReasonKind("reject", "correct the kind in the manifest, or send the right file", True),
    "expansion_bomb": ReasonKind("reject", "compress the file again, then send it", True),
    "decryption_failed": ReasonKind("reject", "encrypt the file for our public key, then send it again", True),
    "pairs_differ": ReasonKind("reject", "send the two files of one run, in the same order", True),
    "mate_wrong": ReasonKind(
        "hold", "give first mates the kind fastq_1 and second mates fastq_2 in the manifest, each in a file of its own"
    ),
    "quality_scale": ReasonKind("hold", "write the qualities as Phred+33, then send the file again"),
    "end_marker_absent": ReasonKind("note", ""),
    # the work on it
    "not_processed": ReasonKind("hold", "nothing: the specimen is inspected again", True),
    # contents
    "reference_mismatch": ReasonKind("reject", "align to the reference that delivery.yaml names, or name the true one"),
    "reference_differs": ReasonKind("note", ""),
    "reads_without_mate": ReasonKind("note", ""),
    "reads_lost": ReasonKind("hold", "send the reads as FASTQ, or with one name for each pair of reads", True),
    "records_lost": ReasonKind("hold", "make the gVCF again, then send it", True),
    "sample_mismatch": ReasonKind("reject", "check for a swap: the sample inside is not this specimen"),
    "sample_unknown": ReasonKind(
        "hold", "confirm that the file belongs to this specimen, and name its sample by the barcode"
    ),
    "identifier_in_file_name": ReasonKind("reject", "rename the file without the identifier, then send it again"),
    "identifier_in_header": ReasonKind("reject", _SANITISE),
    "identifier_in_read_name": ReasonKind("reject", _SANITISE),
    "identifier_in_record": ReasonKind("reject", _SANITISE),
    "array_genotypes_changed": ReasonKind("hold", "nothing: the registered array genotypes are restored", True),
    "array_genotypes_unusable": ReasonKind("note", _REGISTER),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A reason with the rows of the manifest (1-based line numbers) that it concerns."""

    reason: Reason
    rows: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        code: str,
        *,
        metric: str = "",
        observed: Scalar = None,
        threshold: Scalar = None,
        rows: tuple[int, ...] = (),
    ) -> Finding:
        """Return the finding ``code`` with the severity and advice of its kind."""
        kind = REASON_KINDS[code]
        reason = Reason(
            code=code,
            severity=kind.severity,
            metric=metric,
            observed=observed,
            threshold=threshold,
            action=kind.action,
        )
        return cls(reason=reason, rows=rows)

    @property
    def blocks(self) -> bool:
        """True if the specimen cannot go on in any mode of the gate."""
        return REASON_KINDS[self.reason.code].blocks
