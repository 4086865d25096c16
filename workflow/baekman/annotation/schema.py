"""The table of annotations, and the order of consequences by severity."""

from __future__ import annotations

import pyarrow as pa

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

ANNOTATIONS = pa.schema(
    [
        ("contig", pa.string()),
        ("pos", pa.int32()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        # the most severe of ``consequences``; of equal ones the first by transcript
        ("gene", pa.string()),
        ("consequence", pa.string()),
        ("impact", pa.string()),  # HIGH, MODERATE, LOW or MODIFIER
        ("transcript", pa.string()),
        ("amino_acid_change", pa.string()),
        ("genes", pa.list_(pa.string())),  # every gene of ``consequences``
        ("consequences", pa.list_(CONSEQUENCE)),  # the most severe first
        ("rsid", pa.string()),
        ("clinvar_id", pa.string()),
        ("clinvar", pa.string()),  # CLNSIG
        ("clinvar_review", pa.string()),  # CLNREVSTAT
    ]
)

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
