"""The table of annotations, and the order of consequences by severity."""

from __future__ import annotations

import pyarrow as pa

from baekman.columns import Column, Columns, schema_of

SCHEMA_VERSION = "1"

CONSEQUENCE = pa.struct(
    [
        ("consequence", pa.string()),
        ("gene", pa.string()),
        ("transcript", pa.string()),
        ("biotype", pa.string()),
        ("strand", pa.string()),
        ("amino_acid_change", pa.string()),
        ("dna_change", pa.string()),
    ]
)

_NO_GENE = "no gene of the GFF3 at the allele, or no GFF3"
_NOT_KNOWN = "the file does not have the allele, or there is no file"

ANNOTATIONS_COLUMNS: Columns = (
    Column("contig", pa.string(), "Name of the contig in the reference."),
    Column("pos", pa.int32(), "Position of the first base of `ref`, 1-based.", "bp"),
    Column("ref", pa.string(), "Reference allele, as in the sites."),
    Column("alt", pa.string(), "Alternate allele."),
    Column("gene", pa.string(), "Gene of the most severe consequence.", "", _NO_GENE),
    Column("consequence", pa.string(), "The most severe consequence, in the terms of bcftools csq.", "", _NO_GENE),
    Column("impact", pa.string(), "Its impact by Ensembl: HIGH, MODERATE, LOW or MODIFIER.", "", _NO_GENE),
    Column("transcript", pa.string(), "Its transcript.", "", "no gene, or the allele lies in no exon"),
    Column("amino_acid_change", pa.string(), "Its change of the protein, as `5D>5E`.", "", "no protein is changed"),
    Column("genes", pa.list_(pa.string()), "Every gene with a consequence.", "", _NO_GENE),
    Column("consequences", pa.list_(CONSEQUENCE), "All consequences, the most severe first.", "", _NO_GENE),
    Column("rsid", pa.string(), "ID of the allele in the file of rsIDs; several are separated by `;`.", "", _NOT_KNOWN),
    Column("clinvar_id", pa.string(), "ID of the allele in ClinVar.", "", _NOT_KNOWN),
    Column("clinvar", pa.string(), "Clinical significance by ClinVar (CLNSIG).", "", _NOT_KNOWN),
    Column("clinvar_review", pa.string(), "Review status of it (CLNREVSTAT).", "", _NOT_KNOWN),
)
ANNOTATIONS = schema_of(ANNOTATIONS_COLUMNS)

# The terms of bcftools csq, the most severe first, with the impact that Ensembl gives to them:
# https://www.ensembl.org/info/genome/variation/prediction/predicted_data.html
SEVERITY: dict[str, str] = {
    "splice_acceptor": "HIGH",
    "splice_donor": "HIGH",
    "stop_gained": "HIGH",
    "frameshift": "HIGH",
    "stop_lost": "HIGH",
    "start_lost": "HIGH",
    "inframe_altering": "MODERATE",
    "inframe_insertion": "MODERATE",
    "inframe_deletion": "MODERATE",
    "missense": "MODERATE",
    "splice_region": "LOW",
    "feature_elongation": "MODIFIER",
    "start_retained": "LOW",
    "stop_retained": "LOW",
    "synonymous": "LOW",
    "coding_sequence": "MODIFIER",
    "5_prime_utr": "MODIFIER",
    "3_prime_utr": "MODIFIER",
    "non_coding": "MODIFIER",
    "intron": "MODIFIER",
    "intergenic": "MODIFIER",
}
RANK = {term: rank for rank, term in enumerate(SEVERITY)}
