"""The problems of a gVCF's records: for each reason of the reader, the expected and the found."""

from __future__ import annotations

from baekman.kernels import reader as kernel

PROBLEMS = {
    kernel.BAD_COLUMNS: ("ten columns: one sample", "another number of columns"),
    kernel.BAD_CONTIG: ("a contig of the store's reference", "a contig that is not in it"),
    kernel.BAD_POS: ("POS of 1 or more", "no such number"),
    kernel.BAD_ORDER: ("records in the order of POS", "a record before the one above it"),
    kernel.PAST_END: ("a record within its contig", "one that goes past the contig's end"),
    kernel.BAD_REF: ("REF of bases", "something else"),
    kernel.BAD_REF_BASE: ("REF as in the store's reference", "another base"),
    kernel.BAD_ALT: ("ALT alleles of bases, symbolic alleles or breakends", "something else"),
    kernel.TOO_MANY_ALLELES: ("at most 4095 ALT alleles", "more"),
    kernel.BAD_END: ("END at POS or after it", "END before POS"),
    kernel.BAD_GENOTYPE: ("GT that names alleles of the record", "an allele that it does not have"),
    kernel.REVISITED: ("each contig's records in one piece", "a contig that was left before"),
    kernel.TOO_MANY_FIELDS: ("a FORMAT of at most 64 fields", "more"),
    kernel.MORE_FIELDS: ("no more fields of the sample than FORMAT names", "more"),
    kernel.DUPLICATED: ("each record once", "the same as a record above it"),
    kernel.TOO_MANY_FILTERS: ("at most 250 different values of FILTER", "more"),
}
