"""The reasons of the intake gate: each has a code, a severity and advice to the institution."""

from __future__ import annotations

from dataclasses import dataclass

from baekman.verdicts import REUSED, Reason, Scalar, Severity

_REGISTER = "correct the registration, then deliver the specimen again"
_RESEND = "send the file again"
_SANITISE = "remove the identifier from the file, then send it again"


@dataclass(frozen=True)
class ReasonKind:
    """The severity and advice of a code. ``blocks``: the specimen cannot go on, even if the gate only reports.

    ``meaning``: the observation that gives the reason, in words; the reference page and docs/deliveries.md show it.
    """

    severity: Severity
    meaning: str
    action: str
    blocks: bool = False


REPEATED = "participant_repeated"  # a person may decide which specimen counts

REASON_KINDS: dict[str, ReasonKind] = {
    # identity
    "not_registered": ReasonKind(
        "reject", "the institution never registered this barcode", "register the specimen, then deliver it again", True
    ),
    "barcode_lookalike": ReasonKind(
        "reject",
        "not registered, but a similar barcode is (O and 0, a Cyrillic А, …)",
        "correct the barcode: it only looks like a registered one",
        True,
    ),
    REUSED: ReasonKind(
        "reject",
        "accepted already in another delivery, or still on its way there; the receiver may merge the reads or "
        "replace the earlier ones",
        "nothing, if it is the same specimen; else give it a barcode of its own",
        True,
    ),
    REPEATED: ReasonKind(
        "hold",
        "two specimens of one participant, here or in another delivery; the receiver decides how they count",
        "name the specimen of the participant to use",
        True,
    ),
    # consent
    "no_consent": ReasonKind(
        "reject",
        "genome sequencing was refused, or no decision is registered",
        "do not send it without consent to genome sequencing",
        True,
    ),
    "consent_expired": ReasonKind(
        "reject", "the consent's last day is past", "renew the consent and register it, then deliver again", True
    ),
    "participant_withdrawn": ReasonKind(
        "reject", "the participant has withdrawn", "destroy the specimen and its data as the protocol says", True
    ),
    # list of files
    "file_missing": ReasonKind("reject", "a file of the manifest is absent", _RESEND, True),
    "file_repeated": ReasonKind(
        "reject", "one file in several lines of the manifest", "name each file once in the manifest", True
    ),
    "file_extra": ReasonKind(
        "hold",
        "a sequencing file with the barcode in its name that is not in the manifest",
        "add the file to the manifest, or leave it out",
        False,
    ),
    "content_repeated": ReasonKind(
        "reject",
        "two files with the same content, or two FASTQ files of a specimen with the same reads",
        "send each specimen's own file: two have the same content",
        True,
    ),
    "mate_missing": ReasonKind("reject", "one file of a FASTQ pair", "send both files of the pair", True),
    "entries_mixed": ReasonKind(
        "reject", "several kinds of file for one specimen, or two gVCFs", "send one of FASTQ, BAM, CRAM or gVCF", True
    ),
    "path_unsafe": ReasonKind("reject", "an absolute path, or one with `..`", "name a file inside the delivery", True),
    "symbolic_link": ReasonKind(
        "reject", "a link instead of a file or folder", "send the file itself, not a link", True
    ),
    "not_a_file": ReasonKind("reject", "a folder, FIFO, socket or device", "send a plain file", True),
    # transfer
    "size_wrong": ReasonKind("reject", "another size than in the manifest; such reads are not aligned", _RESEND),
    "checksum_wrong": ReasonKind(
        "reject", "another checksum than in the manifest, or the file changed during intake", _RESEND
    ),
    "truncated": ReasonKind(
        "reject",
        "the file stops early: the end of gzip, the end marker of BGZF (not FASTQ) or the end container of CRAM "
        "is absent",
        _RESEND,
        True,
    ),
    "unreadable": ReasonKind(
        "reject",
        "content that the format does not allow: damaged data, a malformed record, records out of order, a NUL, "
        "an endless line",
        "make the file again, then send it",
        True,
    ),
    "empty": ReasonKind("reject", "no read, no record", "make the file again, then send it", True),
    "format_wrong": ReasonKind(
        "reject",
        "the file is of another kind than in the manifest",
        "correct the kind in the manifest, or send the right file",
        True,
    ),
    "expansion_bomb": ReasonKind(
        "reject", "more than 200 times its size when expanded", "compress the file again, then send it", True
    ),
    "decryption_failed": ReasonKind(
        "reject",
        "not encrypted for our key, or changed after encryption",
        "encrypt the file for our public key, then send it again",
        True,
    ),
    "pairs_differ": ReasonKind(
        "reject",
        "the two files of a pair hold different reads, or another order",
        "send the two files of one run, in the same order",
        True,
    ),
    "mate_wrong": ReasonKind(
        "hold",
        "reads that say second mate, in their name or comment, in a file of kind `fastq_1`, or first mate in `fastq_2`",
        "give first mates the kind fastq_1 and second mates fastq_2 in the manifest, each in a file of its own",
    ),
    "quality_scale": ReasonKind(
        "hold",
        "no quality below Q26 and some above Q42, read as Phred+33: they look like Phred+64",
        "write the qualities as Phred+33, then send the file again",
    ),
    "end_marker_absent": ReasonKind("note", "a FASTQ file in BGZF without the end marker that is whole otherwise", ""),
    # the work on it
    "not_processed": ReasonKind(
        "hold",
        "the job that reads the files failed, or ran out of time or memory; nothing is known about the specimen",
        "nothing: the specimen is inspected again",
        True,
    ),
    # contents
    "reference_mismatch": ReasonKind(
        "reject",
        "contigs with another length or M5 than ours, or none of ours",
        "align to the reference that delivery.yaml names, or name the true one",
    ),
    "reference_differs": ReasonKind(
        "note", "aligned to another reference, as delivery.yaml states; the reads are aligned again", ""
    ),
    "reads_without_mate": ReasonKind(
        "note", "reads of a BAM or CRAM without their mate in the file; the new alignment skips them", ""
    ),
    "reads_lost": ReasonKind(
        "hold",
        "the copy has another number of reads than the file, less those without a mate: one file holds several "
        "runs with the same read names",
        "send the reads as FASTQ, or with one name for each pair of reads",
        True,
    ),
    "records_lost": ReasonKind(
        "hold",
        "the copy of a gVCF has another number of records than the file",
        "make the gVCF again, then send it",
        True,
    ),
    "sample_mismatch": ReasonKind(
        "reject",
        "the sample inside is another specimen's, or there are several samples",
        "check for a swap: the sample inside is not this specimen",
    ),
    "sample_unknown": ReasonKind(
        "hold",
        "the sample inside has a name that is not the barcode",
        "confirm that the file belongs to this specimen, and name its sample by the barcode",
    ),
    "identifier_in_file_name": ReasonKind(
        "reject",
        "a name, number, subject code, telephone number or e-mail address in a file's name",
        "rename the file without the identifier, then send it again",
    ),
    "identifier_in_header": ReasonKind("reject", "the same in a SAM or VCF header", _SANITISE),
    "identifier_in_read_name": ReasonKind("reject", "the same in a read's name or comment", _SANITISE),
    "identifier_in_record": ReasonKind(
        "reject",
        "the same in a tag of a read, or in any column of a VCF record; the report names the tag or column",
        _SANITISE,
    ),
    "array_genotypes_changed": ReasonKind(
        "hold",
        "the kept array genotypes are gone, or not the file that was registered",
        "nothing: the registered array genotypes are restored",
        True,
    ),
    "array_genotypes_unusable": ReasonKind(
        "note", "the registered array genotypes cannot be read; identity will not be assessed", _REGISTER
    ),
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
