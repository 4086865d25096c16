"""The reasons that the intake gate knows: each with its code, its severity and what the institution can do."""

from __future__ import annotations

from dataclasses import dataclass

from baekman.verdicts import Reason, Scalar, Severity

_REGISTER = "correct the registration, then deliver the specimen again"
_RESEND = "send the file again"
_SANITISE = "remove the identifier from the file, then send it again"


@dataclass(frozen=True)
class Kind:
    """A kind of reason. ``blocks``: the specimen cannot go on, not even where the gate only reports."""

    severity: Severity
    action: str
    blocks: bool = False


KINDS: dict[str, Kind] = {
    # who it is
    "not_registered": Kind("reject", "register the specimen, then deliver it again", True),
    "barcode_lookalike": Kind("reject", "correct the barcode: it only looks like a registered one", True),
    "specimen_reused": Kind("reject", "nothing, if it is the same specimen; else label it anew", True),
    "participant_repeated": Kind("hold", "say which of the participant's specimens is to be used", True),
    # what the participant allows
    "no_consent": Kind("reject", "do not send it without consent to genome sequencing", True),
    "consent_expired": Kind("reject", "renew the consent and register it, then deliver again", True),
    "participant_withdrawn": Kind("reject", "destroy the specimen and its data as the protocol says", True),
    # which files there are
    "file_missing": Kind("reject", _RESEND, True),
    "file_repeated": Kind("reject", "name each file once in the manifest", True),
    "file_extra": Kind("hold", "add the file to the manifest, or leave it out", False),
    "content_repeated": Kind("reject", "send each specimen's own file: two have the same content", True),
    "mate_missing": Kind("reject", "send both files of the pair", True),
    "entries_mixed": Kind("reject", "send one of FASTQ, BAM, CRAM or gVCF", True),
    "path_unsafe": Kind("reject", "name a file inside the delivery", True),
    "symbolic_link": Kind("reject", "send the file itself, not a link", True),
    "not_a_file": Kind("reject", "send a plain file", True),
    # whether they arrived whole
    "size_wrong": Kind("reject", _RESEND),
    "checksum_wrong": Kind("reject", _RESEND),
    "truncated": Kind("reject", _RESEND, True),
    "unreadable": Kind("reject", "make the file again, then send it", True),
    "empty": Kind("reject", "make the file again, then send it", True),
    "format_wrong": Kind("reject", "correct the kind in the manifest, or send the right file", True),
    "expansion_bomb": Kind("reject", "compress the file anew, then send it", True),
    "decryption_failed": Kind("reject", "encrypt the file for our public key, then send it again", True),
    "pairs_differ": Kind("reject", "send the two files of one run, in the same order", True),
    # what is inside
    "reference_mismatch": Kind("reject", "align to the reference that delivery.yaml names, or name the true one"),
    "reference_differs": Kind("note", ""),
    "reads_without_mate": Kind("note", ""),
    "sample_mismatch": Kind("reject", "the file does not match the specimen's own registration: check for a swap"),
    "sample_unknown": Kind("hold", "confirm that the file is of this specimen, and name its sample by the barcode"),
    "identifier_in_file_name": Kind("reject", "rename the file without the identifier, then send it again"),
    "identifier_in_header": Kind("reject", _SANITISE),
    "identifier_in_read_name": Kind("reject", _SANITISE),
    "identifier_in_record": Kind("reject", _SANITISE),
    "array_genotypes_unusable": Kind("note", _REGISTER),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A reason, and the manifest's rows (line numbers) that it is about."""

    reason: Reason
    rows: tuple[int, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether the specimen cannot go on whatever the gate's mode."""
        return KINDS[self.reason.code].blocks


def finding(
    code: str, *, metric: str = "", observed: Scalar = None, threshold: Scalar = None, rows: tuple[int, ...] = ()
) -> Finding:
    """The finding ``code`` with the severity and action of its kind."""
    kind = KINDS[code]
    reason = Reason(
        code=code,
        severity=kind.severity,
        metric=metric,
        observed=observed,
        threshold=threshold,
        action=kind.action,
    )
    return Finding(reason=reason, rows=rows)
