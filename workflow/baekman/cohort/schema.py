"""The Arrow schemas of the cohort store: one object each, shared by writers, readers, docs and tests.

Positions are 1-based; ends are inclusive. Phred values are integers.
"""

from __future__ import annotations

import pyarrow as pa

from baekman.kernels import layout

SCHEMA_VERSION = "6"

MISSING = layout.MISSING
STATE_MISSING, STATE_WEAK, STATE_CALLED = layout.STATE_MISSING, layout.STATE_WEAK, layout.STATE_CALLED
FLAG_GENOTYPED, FLAG_CALLED, POSITION_FLAGS = layout.FLAG_GENOTYPED, layout.FLAG_CALLED, layout.POSITION_FLAGS
FLAG_POSITION_GENOTYPED = layout.FLAG_POSITION_GENOTYPED
FLAG_POSITION_CALLED = layout.FLAG_POSITION_CALLED
TIE_FIRST, TIE_RECORD = layout.TIE_FIRST, layout.TIE_RECORD


def _whole(fields: list[tuple[str, pa.DataType]]) -> pa.Schema:
    """Return a schema without nulls: Parquet then stores no definition levels."""
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in fields])


CALLS = _whole(
    [
        ("sample", pa.uint32()),  # row number in the batch's roster
        ("pos", pa.int32()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("copies", pa.uint8()),
        ("ploidy", pa.uint8()),
        ("other", pa.uint8()),  # copies of another ALT or of a spanning deletion
        ("gq", pa.int16()),
        ("dp", pa.int32()),
        ("ad_ref", pa.int32()),
        ("ad_alt", pa.int32()),
        # phred likelihood of 0, 1, 2 copies: the minimum PL over the genotypes with that number of copies
        ("pl_0", pa.int32()),
        ("pl_1", pa.int32()),
        ("pl_2", pa.int32()),  # -1 when haploid
        ("phase", pa.uint8()),  # bit 0: first haplotype carries, bit 1: second; 0: unphased
        ("phase_set", pa.int32()),  # -1: none
        ("filter", pa.uint16()),  # index into the batch's list of caller filters; 0 is PASS or missing
        ("flags", pa.uint8()),
        ("qual", pa.int32()),  # the record's QUAL (phred) of a row without PL; -1: not given, or the row has PL
    ]
)

REFERENCE = _whole(
    [
        ("sample", pa.uint32()),
        ("start", pa.int32()),
        ("length", pa.int32()),
        ("gq", pa.int16()),  # floor of the GQ band
        ("dp", pa.int32()),  # minimum depth in the block; -1: missing
        ("ploidy", pa.uint8()),
        ("other", pa.uint8()),  # copies of a spanning deletion or of another ALT here
        ("state", pa.uint8()),  # STATE_*
    ]
)

REMARK_COUNTS = pa.map_(pa.string(), pa.int64())

ROSTER = pa.schema(
    [
        ("sample", pa.uint32()),
        ("participant_id", pa.string()),
        ("sex", pa.string()),
        ("gvcf_sha256", pa.string()),
        ("records", pa.int64()),
        ("call_rows", pa.int64()),
        ("reference_rows", pa.int64()),
        ("contradicting_fields", pa.int64()),  # fields read as missing because they contradict their header
        ("duplicate_alleles", pa.int64()),  # records that normalise to the allele of an earlier record
        ("remarks", REMARK_COUNTS),  # the number of each kind in baekman.gvcf.remarks.REMARKS that is not 0
    ]
)

GQ_BINS = 10  # of the GQ histogram: 0-9, 10-19, …, 90-99

CENSUS = _whole(
    [
        ("pos", pa.int32()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("het", pa.uint32()),  # called, diploid, one copy
        ("hom", pa.uint32()),  # called, diploid, two copies
        ("hemi", pa.uint32()),  # called, haploid, one copy
        ("het_raw", pa.uint32()),
        ("hom_raw", pa.uint32()),
        ("hemi_raw", pa.uint32()),
        # the part of het and hom of participants who have one copy here by sex and PARs, but were called diploid
        ("het_one", pa.uint32()),
        ("hom_one", pa.uint32()),
        ("named", pa.uint32()),  # rows without a copy: the allele was named with evidence
        # rows that are not called (missing_*: without a genotype) where another record at the position is called;
        # AN and the number of called participants at the position are too high by these, for this allele
        ("uncalled_1", pa.uint32()),  # haploid
        ("uncalled_2", pa.uint32()),
        ("uncalled_one", pa.uint32()),  # the part of uncalled_2 of participants with one copy
        ("missing_1", pa.uint32()),
        ("missing_2", pa.uint32()),
        # sum over rows of PL(0 copies) - min PL; over carriers without PL of their QUAL, or their GQ without QUAL
        ("qual_sum", pa.int64()),
        ("qual_max", pa.int32()),
        ("dp_sum", pa.int64()),  # over carriers with a depth
        ("dp_n", pa.uint32()),
        ("ad_ref_het", pa.int64()),  # over called diploid heterozygotes with allele depths
        ("ad_alt_het", pa.int64()),
        ("dosage", pa.int64()),  # sum of expected copies in 1/1000, from PL alone (see genotyping.joint.row_dosage)
        *[(f"gq_{b}0", pa.uint32()) for b in range(GQ_BINS)],  # carriers by GQ
    ]
)

# Step function along the genome: the values hold from ``start`` to the row before the next ``start``.
CALLED = _whole(
    [
        ("start", pa.int32()),
        ("called_1", pa.uint32()),  # participants called, haploid here
        ("called_2", pa.uint32()),  # participants called, diploid here
        ("called_one", pa.uint32()),  # the part of called_2 of participants with one copy here by sex and PARs
        ("raw_1", pa.uint32()),  # participants with a genotype, called or not
        ("raw_2", pa.uint32()),
        ("covered", pa.uint32()),  # participants with any coverage
        ("weight", pa.int64()),  # informative ploidy in 1/1000 (see genotyping.joint.SEGMENT_WEIGHT)
    ]
)

SITES = pa.schema(
    [
        ("contig", pa.string()),
        *[CENSUS.field(name) for name in ("pos", "ref", "alt")],
        ("ac", pa.int64()),
        ("an", pa.int64()),
        ("af", pa.float64()),
        ("ac_raw", pa.int64()),
        ("an_raw", pa.int64()),
        ("af_raw", pa.float64()),
        ("af_joint", pa.float64()),  # the frequency of the joint genotypes' prior
        *[CENSUS.field(name) for name in ("het", "hom", "hemi", "het_raw", "hom_raw", "hemi_raw", "named")],
        ("hom_ref", pa.int64()),  # called diploids without the allele
        ("participants", pa.int64()),
        ("called", pa.int64()),
        ("uncalled", pa.int64()),
        ("no_coverage", pa.int64()),
        ("call_rate", pa.float64()),
        ("hwe_p", pa.float64()),
        ("excess_het", pa.float64()),  # phred
        ("inbreeding", pa.float64()),
        ("qual", pa.float64()),
        ("qual_by_depth", pa.float64()),
        ("allele_balance", pa.float64()),
        ("mean_depth", pa.float64()),
        *[
            CENSUS.field(name)
            for name in CENSUS.names
            if name in ("het_one", "hom_one", "uncalled_1", "uncalled_2", "uncalled_one", "missing_1", "missing_2")
            or name in ("qual_sum", "qual_max", "dp_sum", "dp_n", "ad_ref_het", "ad_alt_het", "dosage")
            or name.startswith("gq_")
        ],
        ("weight", pa.int64()),
        ("filter", pa.string()),
    ]
)

TABLE = pa.schema(
    [
        ("participant_id", pa.dictionary(pa.int32(), pa.string())),
        ("contig", pa.dictionary(pa.int32(), pa.string())),
        ("pos", pa.int32()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("copies", pa.uint8()),
        ("ploidy", pa.uint8()),
        ("other", pa.uint8()),
        ("called", pa.bool_()),
        ("gq", pa.int16()),
        ("dp", pa.int32()),
        ("ad_ref", pa.int32()),
        ("ad_alt", pa.int32()),
        ("pl", pa.list_(pa.int32())),  # of 0, 1 (and 2) copies
        ("phase", pa.uint8()),
        ("phase_set", pa.int32()),
        ("joint_copies", pa.uint8()),  # null, and joint_gq too, where there is no joint genotype
        ("joint_gq", pa.int16()),
        ("joint_ploidy", pa.uint8()),  # the participant's own, by sex and PARs; ``ploidy`` is the caller's
        ("af", pa.float64()),
        ("filter", pa.dictionary(pa.int32(), pa.string())),  # of the site
        ("caller_filter", pa.dictionary(pa.int32(), pa.string())),
    ]
)

REFERENCE_TABLE = pa.schema(
    [
        ("participant_id", pa.dictionary(pa.int32(), pa.string())),
        ("contig", pa.dictionary(pa.int32(), pa.string())),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("gq", pa.int16()),
        ("dp", pa.int32()),
        ("ploidy", pa.uint8()),
        ("other", pa.uint8()),
        ("called", pa.bool_()),
    ]
)
