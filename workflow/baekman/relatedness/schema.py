"""The tables of relatedness, and the bounds that they are made with."""

from __future__ import annotations

import pyarrow as pa

from baekman.columns import Column, Columns, schema_of

SCHEMA_VERSION = "1"
KINSHIP, COMPONENTS, VARIANTS = "kinship.parquet", "components.parquet", "variants.parquet"
FILES = (KINSHIP, COMPONENTS, VARIANTS)

# Manichaikul et al., Bioinformatics 26:2867 (2010), table 1: the least kinship of each degree.
DEGREES = (0.3536, 0.1768, 0.0884, 0.0442)
DEGREE_NAMES = ("duplicate or twin", "first degree", "second degree", "third degree")
LEAST_KINSHIP = DEGREES[-1]
UNRELATED_BELOW = DEGREES[2]  # the components are of participants without a relative of the second degree

LEAST_AF = 0.05
LEAST_CALL_RATE = 0.95
MOST_VARIANTS = 100_000  # before pruning: the autosomes are cut into as many windows, with one variant of each
LD_WINDOW_KB = 500
LD_R2 = 0.2
LEAST_VARIANTS = 100
USUAL_VARIANTS = 10_000  # with fewer, kinship of the third degree is uncertain
LEAST_PEOPLE = 2
USUAL_PEOPLE = 50  # plink2 estimates no allele frequencies and no LD of fewer
NUMBER_OF_COMPONENTS = 10
APPROXIMATE_FROM = 5000  # participants: plink2 advises its randomised algorithm from here on
OUTLIER_SD = 6.0  # the bound of smartpca: Patterson, Price and Reich, PLoS Genetics 2:e190 (2006)

KINSHIP_COLUMNS: Columns = (
    Column("participant_1", pa.string(), "The first participant of the pair; its ID is the smaller of both."),
    Column("participant_2", pa.string(), "The second participant of the pair."),
    Column("kinship", pa.float64(), "KING-robust kinship coefficient between families.", "-0.5 to 0.5"),
    Column(
        "degree", pa.int8(), "0: the same person or a twin, 1: parent, child or sibling, 2: second, 3: third degree."
    ),
    Column("ibs0", pa.float64(), "Share of the variants where they are opposite homozygotes.", "0 to 1"),
    Column("hethet", pa.float64(), "Share of the variants where both are heterozygous.", "0 to 1"),
    Column("variants", pa.int32(), "Variants at which both have a genotype.", "variants"),
)
_TOO_FEW = "too few unrelated participants or variants for so many components"
COMPONENTS_COLUMNS: Columns = (
    Column("participant_id", pa.string(), "Pseudonymous ID of the participant."),
    *[
        Column(f"PC{number}", pa.float64(), f"Principal component {number}.", "", _TOO_FEW)
        for number in range(1, NUMBER_OF_COMPONENTS + 1)
    ],
    Column("is_projected", pa.bool_(), "Projected: has a relative among the participants who make the components."),
    Column(
        "inbreeding",
        pa.float64(),
        "Method-of-moments F: 1 - observed / expected heterozygotes.",
        "",
        "no heterozygote is expected, or nothing is called",
    ),
    Column(
        "outlier",
        pa.string(),
        f"The values more than {OUTLIER_SD:g} standard deviations from the mean, joined by `;`: `PC1` …, `inbreeding`.",
        "",
        f"no outlier, or fewer than {USUAL_PEOPLE} participants",
    ),
)
VARIANTS_COLUMNS: Columns = (
    Column("contig", pa.string(), "Name of the contig in the reference."),
    Column("pos", pa.int32(), "Position, 1-based.", "bp"),
    Column("ref", pa.string(), "Reference allele."),
    Column("alt", pa.string(), "Alternate allele."),
)
PAIRS, PEOPLE, USED = (schema_of(columns) for columns in (KINSHIP_COLUMNS, COMPONENTS_COLUMNS, VARIANTS_COLUMNS))
