"""The remarks on a gVCF: every kind of value that the reader drops, cuts, replaces or takes from another field.

The reader counts each kind. Roster, `cohort add`, the report on a delivery and the docs use these names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baekman.kernels import layout


@dataclass(frozen=True, kw_only=True)
class RemarkKind:
    """A kind of remark.

    ``name``: its name in the roster and in reports. ``meaning``: the value in the gVCF and how it is taken.
    ``contradicts``: whether the value contradicts its header; ``cohort.max_contradicting`` limits these.
    ``understood``: whether the value has this meaning without a loss; `cohort add` does not print these.
    """

    name: str
    meaning: str
    contradicts: bool = False
    understood: bool = False


def _kinds(meanings: Mapping[str, str], *, contradicts: bool = False, understood: bool = False) -> list[RemarkKind]:
    return [
        RemarkKind(name=name, meaning=text, contradicts=contradicts, understood=understood)
        for name, text in meanings.items()
    ]


REMARKS: tuple[RemarkKind, ...] = (
    *_kinds(
        {
            "pl_count": "PL or GL with a wrong number of values, or no numbers: missing",
            "ad_count": "AD, or RO and AO, with a wrong number of values, or no numbers: missing",
            "gt_allele": "GT that names an ALT in a record without ALT: missing",
            "not_a_number": "text where DP, GQ, QUAL or LEN needs a number: missing",
            "ploidy": "GT with more than two alleles: no genotype, no likelihoods",
        },
        contradicts=True,
    ),
    *_kinds(
        {
            "pl_partly_missing": "PL or GL with '.' among its values: missing",
            "ad_partly_missing": "AD with '.' among its values: missing",
            "half_call": "GT with a missing allele next to a known one: no genotype, evidence is kept",
            "decimals_cut": "decimals of GQ (from 0.01 on), DP, AD or PL: cut off",
            "gq_above_99": "GQ above 99: 99",
            "gq_below_0": "GQ of a block below 0: 0",
            "gq_from_ad": "GQ of a block missing: taken from its reads",
            "gq_from_filter": "GQ of a block missing and FILTER or FT failed: 0",
            "gq_from_depth": "GQ of a block missing: taken from its depth",
            "gq_missing": "genotype without any quality: not called",
            "gq_overruled": "GQ of a block that its own reads or PL contradict: 0",
            "posterior_unread": "GP or PP without PL and GL: not read",
            "no_gt": "record without GT: no genotype",
            "homoplasmic": "0/1 by SQ with 95 % of the reads for the ALT: two copies",
            "ft_failed": "genotype that failed FT: as if it had failed FILTER",
            "block_filter": "block that failed FILTER: its quality decides, the filter is not kept",
            "symbolic_deletion": "ALT <DEL>: other allele after POS, no row",
            "deletion_without_end": "carried <DEL> without END and SVLEN: only REF is covered",
            "symbolic_allele": "other symbolic ALT: other allele at the bases of REF, no row",
            "breakend": "breakend: other allele at the bases of REF, no row",
            "non_ref_called": "GT with <NON_REF> or <*>: other allele, no row",
            "other_letter": "record with letters other than A, C, G, T: REF is read as the reference",
            "alt_equals_ref": "ALT with the bases of REF: read as the reference",
            "unsupported_allele": "ALT without a copy and without evidence: no row",
            "ps_text": "text in PS or PID: phase sets are numbered",
            "block_ref_cut": "block with a REF beyond its END: END decides",
            "overlapping_record": "record that begins within an earlier one, without *: one decides each position",
            "ignored_contig": "record of a contig in cohort.ignore_contigs: left out",
            "contradicting_alleles": "position where records have more copies than the ploidy: kept as they are",
            "duplicate_allele": "record that normalises to the allele of another: the better one is kept",
            "ploidy_raised": "haploid record at a position with a diploid one: diploid, without likelihoods",
        }
    ),
    *_kinds(
        {
            "gq_from_gqx": "GQ missing: taken from GQX",
            "gq_from_sq": "GQ missing: taken from SQ",
            "gq_from_rgq": "GQ missing: taken from RGQ",
            "gq_from_pl": "GQ missing: taken from PL",
            "gq_from_gl": "GQ missing: taken from GL",
            "dp_from_info": "depth of a block missing: taken from INFO",
            "dp_from_ad": "depth missing: sum of AD",
            "dp_missing": "genotype without any depth: called by its quality alone, unless min_dp is set",
            "gl_as_pl": "GL without PL: read as PL",
            "gt_from_gq": "block without GT: diploid reference, by its GQ",
            "no_evidence": "genotype without a read or likelihood: no coverage",
            "pl_equal": "PL of an allele equal for all numbers of copies: missing",
            "star_block": "ALT * with END: read as a block",
        },
        understood=True,
    ),
)
MEANINGS = {kind.name: kind.meaning for kind in REMARKS}
CONTRADICTING = frozenset(kind.name for kind in REMARKS if kind.contradicts)
UNDERSTOOD = frozenset(kind.name for kind in REMARKS if kind.understood)
MOST_LINES, MOST_PARTICIPANTS = 60, 10
# the kinds that the kernel counts, in its order; the others are counted when a piece is settled
KERNEL_NAMES = tuple(
    sorted(
        (kind.name for kind in REMARKS if hasattr(layout, f"COUNT_{kind.name.upper()}")),
        key=lambda name: getattr(layout, f"COUNT_{name.upper()}"),
    )
)


def counted(numbers: Sequence[int], **others: int) -> dict[str, int]:
    """Return the remarks that are not 0, by name, in the order of REMARKS; ``numbers``: those of the kernel."""
    counts = {**dict(zip(KERNEL_NAMES, numbers, strict=True)), **others}
    return {name: counts[name] for name in MEANINGS if counts.get(name)}


def describe(remarks: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return lines for people about the remarks on the gVCFs of participants, by ID.

    They are a line per participant and kind, or for more than ``MOST_LINES`` the sum of each kind and the
    ``MOST_PARTICIPANTS`` participants with the most remarks. Kinds that are ``understood`` have no line.
    """
    remarks = {
        participant: printed
        for participant, counts in remarks.items()
        if (printed := {name: number for name, number in counts.items() if name not in UNDERSTOOD})
    }
    if sum(map(len, remarks.values())) <= MOST_LINES:
        return [
            f"{participant}: {name} {number} ({MEANINGS[name]})"
            for participant, counts in sorted(remarks.items())
            for name, number in counts.items()
        ]
    lines = [f"remarks on the gVCFs of {len(remarks)} participants"]
    for name, meaning in MEANINGS.items():
        numbers = [counts[name] for counts in remarks.values() if name in counts]
        if numbers:
            lines.append(f"{name} {sum(numbers)}, participants {len(numbers)} ({meaning})")
    worst = sorted(remarks, key=lambda participant: (-sum(remarks[participant].values()), participant))
    lines.append(f"participants with the most remarks, {min(len(worst), MOST_PARTICIPANTS)} of {len(worst)}:")
    for participant in worst[:MOST_PARTICIPANTS]:
        lines.append(f"{participant}: " + ", ".join(f"{name} {n}" for name, n in remarks[participant].items()))
    return lines
