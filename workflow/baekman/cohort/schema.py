"""The Arrow schemas of the cohort store and of tables: one object each, shared by writers, readers, docs and tests.

Positions are 1-based; ends are inclusive. Phred values are integers. ``…_COLUMNS`` have the meaning of each column.
"""

from __future__ import annotations

import pyarrow as pa

from baekman.columns import Column, Columns, schema_of
from baekman.kernels import layout

SCHEMA_VERSION = "6"

MISSING = layout.MISSING
STATE_MISSING, STATE_WEAK, STATE_CALLED = layout.STATE_MISSING, layout.STATE_WEAK, layout.STATE_CALLED
FLAG_GENOTYPED, FLAG_CALLED, POSITION_FLAGS = layout.FLAG_GENOTYPED, layout.FLAG_CALLED, layout.POSITION_FLAGS
FLAG_POSITION_GENOTYPED = layout.FLAG_POSITION_GENOTYPED
FLAG_POSITION_CALLED = layout.FLAG_POSITION_CALLED
TIE_FIRST, TIE_RECORD = layout.TIE_FIRST, layout.TIE_RECORD

_MISSING_DEPTH = "-1: the record has no depth"
_ROW_OF_ROSTER = Column("sample", pa.uint32(), "Number of the participant's row in the batch's roster, from 0.")
_ALLELE: Columns = (
    Column("pos", pa.int32(), "Position of the first base of `ref`, 1-based.", "bp"),
    Column("ref", pa.string(), "Reference allele; alleles are split, left-aligned and decomposed."),
    Column("alt", pa.string(), "Alternate allele."),
)

CALLS_COLUMNS: Columns = (
    _ROW_OF_ROSTER,
    *_ALLELE,
    Column(
        "copies", pa.uint8(), "Copies of this allele in the genotype; 0: the record names it with evidence.", "copies"
    ),
    Column("ploidy", pa.uint8(), "Number of alleles of the genotype.", "copies"),
    Column("other", pa.uint8(), "Copies of another ALT or of a spanning deletion.", "copies"),
    Column("gq", pa.int16(), "Genotype quality, at most 99.", "phred", "-1: the record has no quality"),
    Column("dp", pa.int32(), "Depth of the record.", "reads", _MISSING_DEPTH),
    Column("ad_ref", pa.int32(), "Reads with the reference allele.", "reads", "-1: not given"),
    Column("ad_alt", pa.int32(), "Reads with this allele.", "reads", "-1: not given"),
    Column(
        "pl_0",
        pa.int32(),
        "Likelihood of 0 copies: the least PL of the record's genotypes with 0 copies.",
        "phred",
        "-1: the record has no likelihoods",
    ),
    Column("pl_1", pa.int32(), "The same of 1 copy.", "phred", "-1: the record has no likelihoods"),
    Column("pl_2", pa.int32(), "The same of 2 copies.", "phred", "-1: no likelihoods, or the genotype is haploid"),
    Column("phase", pa.uint8(), "Bit 0: the first haplotype carries the allele, bit 1: the second; 0: unphased."),
    Column("phase_set", pa.int32(), "Phase set (PS) of the record.", "", "-1: none"),
    Column(
        "filter",
        pa.uint16(),
        "FILTER of the record: 0 is PASS or missing, else a number (from 1) in the list "
        "`filters` of the roster's metadata.",
    ),
    Column(
        "flags",
        pa.uint8(),
        "Bits of the row's record, 1: no allele of GT is missing; 2: called. 4 and 8: the same "
        "two of the participant's best record with a row at `pos`. 16 and 32: the first or second allele of an "
        "unphased GT has this allele and another of `pos`; then 64 and 128 are the last two bits of the record's "
        "number in the file.",
    ),
    Column(
        "qual",
        pa.int32(),
        "QUAL of the record of a row without likelihoods.",
        "phred",
        "-1: not given, or the row has likelihoods",
    ),
)

REFERENCE_COLUMNS: Columns = (
    _ROW_OF_ROSTER,
    Column("start", pa.int32(), "First position, 1-based.", "bp"),
    Column("length", pa.int32(), "Number of positions.", "bp"),
    Column("gq", pa.int16(), "Floor of the GQ band (`thresholds.gq_bands` in `store.json`).", "phred"),
    Column("dp", pa.int32(), "Least depth.", "reads", _MISSING_DEPTH),
    Column("ploidy", pa.uint8(), "Number of alleles of the genotype.", "copies"),
    Column("other", pa.uint8(), "Copies of a spanning deletion or of another ALT.", "copies"),
    Column("state", pa.uint8(), "1: covered without a genotype, 2: below the thresholds, 3: called."),
)

REMARK_COUNTS = pa.map_(pa.string(), pa.int64())

ROSTER_COLUMNS: Columns = (
    Column("sample", pa.uint32(), "Number of the row, from 0; rows are sorted by `participant_id`."),
    Column("participant_id", pa.string(), "Pseudonymous ID."),
    Column("sex", pa.string(), "`female`, `male` or `unknown`."),
    Column("gvcf_sha256", pa.string(), "SHA-256 of the gVCF's content."),
    Column("records", pa.int64(), "Records of the gVCF.", "records"),
    Column("call_rows", pa.int64(), "Rows in `calls`.", "rows"),
    Column("reference_rows", pa.int64(), "Rows in `reference`.", "rows"),
    Column("contradicting_fields", pa.int64(), "Fields read as missing, since they contradict their header.", "fields"),
    Column("duplicate_alleles", pa.int64(), "Records that normalise to the allele of an earlier record.", "records"),
    Column("remarks", REMARK_COUNTS, "Number of each kind of remark that is not 0."),
)

GQ_BINS = 10  # of the GQ histogram: 0-9, 10-19, …, 90-99

_PEOPLE = "participants"
CENSUS_COLUMNS: Columns = (
    *_ALLELE,
    Column("het", pa.uint32(), "Called diploid carriers of one copy.", _PEOPLE),
    Column("hom", pa.uint32(), "Called diploid carriers of two copies.", _PEOPLE),
    Column("hemi", pa.uint32(), "Called haploid carriers.", _PEOPLE),
    Column("het_raw", pa.uint32(), "Diploid carriers of one copy, called or not.", _PEOPLE),
    Column("hom_raw", pa.uint32(), "Diploid carriers of two copies, called or not.", _PEOPLE),
    Column("hemi_raw", pa.uint32(), "Haploid carriers, called or not.", _PEOPLE),
    Column("het_one", pa.uint32(), "The part of `het` with one copy here by sex and PARs, called diploid.", _PEOPLE),
    Column("hom_one", pa.uint32(), "The part of `hom` with one copy here by sex and PARs, called diploid.", _PEOPLE),
    Column("named", pa.uint32(), "Rows without a copy: the record names the allele with evidence.", "rows"),
    # AN and the number of called participants at the position are too high by these, for this allele
    Column(
        "uncalled_1",
        pa.uint32(),
        "Haploid rows that are not called, where another record of the participant calls the position.",
        "rows",
    ),
    Column("uncalled_2", pa.uint32(), "The same of diploid rows.", "rows"),
    Column("uncalled_one", pa.uint32(), "The part of `uncalled_2` with one copy here by sex and PARs.", "rows"),
    Column(
        "missing_1",
        pa.uint32(),
        "Haploid rows without a genotype, where another record of the participant has one at the position.",
        "rows",
    ),
    Column("missing_2", pa.uint32(), "The same of diploid rows.", "rows"),
    Column(
        "qual_sum",
        pa.int64(),
        "Sum of PL of 0 copies over the least PL; of a carrier without PL its QUAL, or its GQ without QUAL.",
        "phred",
    ),
    Column("qual_max", pa.int32(), "The largest of these values.", "phred"),
    Column("dp_sum", pa.int64(), "Depth of the carriers with a depth.", "reads"),
    Column("dp_n", pa.uint32(), "Carriers with a depth.", _PEOPLE),
    Column("ad_ref_het", pa.int64(), "Reads of the reference allele of called diploid heterozygotes.", "reads"),
    Column("ad_alt_het", pa.int64(), "Reads of this allele of called diploid heterozygotes.", "reads"),
    # from PL alone: see genotyping.joint.row_dosage
    Column("dosage", pa.int64(), "Sum of the expected copies.", "1/1000 copies"),
    *[Column(f"gq_{b}0", pa.uint32(), f"Carriers with GQ {b}0 to {b}9.", _PEOPLE) for b in range(GQ_BINS)],
)

# Step function along the genome: the values hold from ``start`` to the row before the next ``start``.
CALLED_COLUMNS: Columns = (
    Column("start", pa.int32(), "First position of the step, 1-based; it ends before the next `start`.", "bp"),
    Column("called_1", pa.uint32(), "Called participants, haploid here.", _PEOPLE),
    Column("called_2", pa.uint32(), "Called participants, diploid here.", _PEOPLE),
    Column("called_one", pa.uint32(), "The part of `called_2` with one copy here by sex and PARs.", _PEOPLE),
    Column("raw_1", pa.uint32(), "Participants with a haploid genotype, called or not.", _PEOPLE),
    Column("raw_2", pa.uint32(), "Participants with a diploid genotype, called or not.", _PEOPLE),
    Column("covered", pa.uint32(), "Participants with any coverage.", _PEOPLE),
    # see genotyping.joint.SEGMENT_WEIGHT
    Column("weight", pa.int64(), "Informative ploidy.", "1/1000 copies"),
)

_CONTIG = Column("contig", pa.string(), "Name of the contig in the reference.")
_OF_CENSUS = {each.name: each for each in CENSUS_COLUMNS}
_NOBODY_CALLED = "nobody is called at the position"

SITES_COLUMNS: Columns = (
    _CONTIG,
    *_ALLELE,
    Column("ac", pa.int64(), "Copies of the allele in called genotypes.", "copies"),
    Column("an", pa.int64(), "Alleles of called genotypes at the position.", "copies"),
    Column(
        "af",
        pa.float64(),
        "`ac` / `an`: allele frequency in called genotypes of the snapshot.",
        "0 to 1",
        _NOBODY_CALLED,
    ),
    Column("ac_raw", pa.int64(), "Copies of the allele in all genotypes.", "copies"),
    Column("an_raw", pa.int64(), "Alleles of all genotypes at the position.", "copies"),
    Column("af_raw", pa.float64(), "`ac_raw` / `an_raw`.", "0 to 1", "nobody has a genotype at the position"),
    Column("af_joint", pa.float64(), "Frequency in the prior of the joint genotypes, with pseudo-counts.", "0 to 1"),
    *[_OF_CENSUS[name] for name in ("het", "hom", "hemi", "het_raw", "hom_raw", "hemi_raw", "named")],
    Column("hom_ref", pa.int64(), "Called diploids without the allele.", _PEOPLE),
    Column("participants", pa.int64(), "Participants of the snapshot: `called` + `uncalled` + `no_coverage`.", _PEOPLE),
    Column("called", pa.int64(), "Participants who are called at the position.", _PEOPLE),
    Column("uncalled", pa.int64(), "Covered participants who are not called.", _PEOPLE),
    Column("no_coverage", pa.int64(), "Participants without coverage.", _PEOPLE),
    Column(
        "call_rate",
        pa.float64(),
        "`called` / `participants`; on Y the divisor has no participants registered as female.",
        "0 to 1",
    ),
    # the tests are of called diploids with two copies: without ``het_one`` and ``hom_one``
    Column(
        "hwe_p",
        pa.float64(),
        "P of the exact test of Hardy-Weinberg equilibrium, of called diploids with two copies.",
        "0 to 1",
    ),
    Column("excess_het", pa.float64(), "P of as many heterozygotes or more, of the same people.", "phred"),
    Column(
        "inbreeding",
        pa.float64(),
        "1 - observed / expected heterozygotes, of the same people.",
        "",
        "no heterozygote is expected",
    ),
    Column("qual", pa.float64(), "Evidence that anyone carries the allele: `qual_sum`.", "phred"),
    Column(
        "qual_by_depth", pa.float64(), "`qual` per read of the carriers.", "phred per read", "no carrier has a depth"
    ),
    Column(
        "allele_balance",
        pa.float64(),
        "Share of reads of this allele in called heterozygotes.",
        "0 to 1",
        "no called heterozygote has allele depths",
    ),
    Column("mean_depth", pa.float64(), "Mean depth of the carriers.", "reads", "no carrier has a depth"),
    *[
        each
        for each in CENSUS_COLUMNS
        if each.name in ("het_one", "hom_one", "uncalled_1", "uncalled_2", "uncalled_one", "missing_1", "missing_2")
        or each.name in ("qual_sum", "qual_max", "dp_sum", "dp_n", "ad_ref_het", "ad_alt_het", "dosage")
        or each.name.startswith("gq_")
    ],
    CALLED_COLUMNS[-1],
    Column(
        "filter",
        pa.string(),
        "`PASS`, or the failed filters joined by `;`: `AC0`, `ExcessHet`, `LowAlleleBalance`, "
        "`LowCallRate`, `LowQual`.",
    ),
)

_REPEATED = pa.dictionary(pa.int32(), pa.string())
_OWNER: Columns = (
    Column("participant_id", _REPEATED, "Pseudonymous ID of the participant; the same in each row."),
    Column("contig", _REPEATED, "Name of the contig in the reference."),
)
_TABLE_PLOIDY: Columns = (
    Column("ploidy", pa.uint8(), "Number of alleles of the caller's genotype.", "copies"),
    Column("other", pa.uint8(), "Copies of another ALT or of a spanning deletion.", "copies"),
)
_NO_JOINT = "no joint genotype: without likelihoods, one copy of two decides nothing where the participant has one copy"

TABLE_COLUMNS: Columns = (
    *_OWNER,
    *_ALLELE,
    Column(
        "copies",
        pa.uint8(),
        "Copies of this allele in the caller's genotype; 0: the record names the allele with evidence, without a copy.",
        "copies",
    ),
    *_TABLE_PLOIDY,
    Column("called", pa.bool_(), "The genotype meets the thresholds of the cohort (`min_gq`, `min_dp`, …)."),
    Column(
        "gq",
        pa.int16(),
        "Genotype quality of the caller, at most 99.",
        "phred",
        "the record has no GQ and nothing that it follows from",
    ),
    Column("dp", pa.int32(), "Depth of the record.", "reads", "the record has no depth"),
    Column("ad_ref", pa.int32(), "Reads with the reference allele.", "reads", "the record has no allele depths"),
    Column("ad_alt", pa.int32(), "Reads with this allele.", "reads", "the record has no depth of this allele"),
    Column(
        "pl",
        pa.list_(pa.int32()),
        "Likelihoods of 0, 1 (and 2) copies of this allele: for each number the least PL "
        "of the record's genotypes; two values when haploid.",
        "phred",
        "the record has no likelihoods",
    ),
    Column(
        "phase",
        pa.uint8(),
        "Bit 0 (value 1): the first haplotype carries the allele, bit 1 (value 2): the second, 3: both; 0: unphased.",
    ),
    Column("phase_set", pa.int32(), "Phase set (PS) of the record.", "", "the record has none"),
    Column(
        "joint_copies",
        pa.uint8(),
        "The most probable number of copies under the snapshot's allele frequency, 0 to `joint_ploidy`.",
        "copies",
        _NO_JOINT,
    ),
    Column("joint_gq", pa.int16(), "Quality of `joint_copies`: its posterior, at most 99.", "phred", _NO_JOINT),
    Column(
        "joint_ploidy",
        pa.uint8(),
        "The participant's own number of copies, by sex and PARs; `ploidy` is the caller's.",
        "copies",
    ),
    Column(
        "af",
        pa.float64(),
        "Allele frequency in called genotypes of the snapshot that the file's metadata names. "
        "Files of two deliveries are of two snapshots, until `baekman tables` or a freeze writes all again.",
        "0 to 1",
        _NOBODY_CALLED,
    ),
    Column("filter", _REPEATED, "Filter of the site in the snapshot: `PASS`, or the failed filters joined by `;`."),
    Column("caller_filter", _REPEATED, "FILTER of the record in the gVCF; `PASS` also where it has none."),
)

REFERENCE_TABLE_COLUMNS: Columns = (
    *_OWNER,
    Column("start", pa.int32(), "First position, 1-based.", "bp"),
    Column("end", pa.int32(), "Last position, inclusive.", "bp"),
    Column("gq", pa.int16(), "Floor of the GQ band of the evidence of reference.", "phred"),
    Column("dp", pa.int32(), "Least depth of the positions.", "reads", "the record has no depth"),
    *_TABLE_PLOIDY,
    Column("called", pa.bool_(), "The evidence meets the thresholds of the cohort; false: covered, but uncalled."),
)

# the tables of a freeze have the rest of the evidence too: an export needs no store
FROZEN_TABLE_COLUMNS: Columns = (*TABLE_COLUMNS, next(each for each in CALLS_COLUMNS if each.name == "flags"))
FROZEN_REFERENCE_COLUMNS: Columns = (
    *REFERENCE_TABLE_COLUMNS,
    next(each for each in REFERENCE_COLUMNS if each.name == "state"),
)

CALLS, REFERENCE, CENSUS, CALLED = (
    schema_of(columns, nullable=False) for columns in (CALLS_COLUMNS, REFERENCE_COLUMNS, CENSUS_COLUMNS, CALLED_COLUMNS)
)
ROSTER, TABLE, REFERENCE_TABLE = (
    schema_of(columns, nullable=True) for columns in (ROSTER_COLUMNS, TABLE_COLUMNS, REFERENCE_TABLE_COLUMNS)
)
# whoever opens a file of its own sees which participants ``af`` counts
_AF = TABLE.get_field_index("af")
TABLE = TABLE.set(_AF, TABLE.field(_AF).with_metadata({"description": TABLE_COLUMNS[_AF].description}))
# those of the two tables of a participant, next to a cohort and in a freeze
TABLES = (TABLE, REFERENCE_TABLE)
FROZEN_TABLES = (
    TABLE.append(pa.field("flags", pa.uint8())),
    REFERENCE_TABLE.append(pa.field("state", pa.uint8())),
)
SITES = pa.schema(
    [CENSUS.field(each.name) if each.name in CENSUS.names else (each.name, each.type) for each in SITES_COLUMNS]
)
