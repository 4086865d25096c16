"""BCF records straight from columns: one record per allele or one per position, with a column per participant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from baekman import __version__
from baekman.arrow import numpy_of, string_parts
from baekman.cohort.dense_genotypes import Evidence
from baekman.cohort.sites import FILTER_NAMES
from baekman.cohort.store import Store
from baekman.genotyping.joint import GQ_LIMITS, LIKELIHOOD
from baekman.kernels.bcf.records import RecordEncoder

FILTER_TEXT = {
    "AC0": "Nobody who is called carries the allele",
    "ExcessHet": "More heterozygotes than Hardy-Weinberg equilibrium explains",
    "LowAlleleBalance": "Few reads of called heterozygotes have the allele",
    "LowCallRate": "Too few participants are called",
    "LowQual": "Little evidence that anyone carries the allele",
}

INFO = (
    ("AC", "A", "Integer", "Copies of each ALT in the genotypes shown"),
    ("AN", "1", "Integer", "Alleles in the genotypes shown"),
    ("AF", "A", "Float", "AC / AN"),
)
FORMAT = (
    ("GT", "1", "String", "Genotype"),
    ("GQ", "1", "Integer", "Genotype quality, phred; of a reference block the floor of its band"),
    ("DP", "1", "Integer", "Read depth; of a reference block its least"),
    ("AD", "R", "Integer", "Reads of each allele"),
    ("PL", "G", "Integer", "Phred likelihoods by copies of the ALT, each the least over the genotypes with so many"),
    ("LAA", ".", "Integer", "ALTs that the participant has likelihoods of, by number"),
    ("LPL", ".", "Integer", "Least phred likelihoods that agree with those of each allele of LAA, as PL is ordered"),
    ("PS", "1", "Integer", "Phase set"),
)
# PASS is 0, then every ID in the order of the header
_IDS = {name: number for number, name in enumerate([*FILTER_NAMES, *(f[0] for f in INFO), *(f[0] for f in FORMAT)], 1)}
FIELD_IDS = np.array([_IDS[field[0]] for field in (*INFO, *FORMAT)], np.int64)

OUTPUT_BYTES = 32 << 20


def header(store: Store, ids: Sequence[str]) -> bytes:
    """Return the BCF header with sample columns ``ids``; it says nothing of the machine, the command or the day."""
    lines = ["##fileformat=VCFv4.3", '##FILTER=<ID=PASS,Description="All filters passed">']
    lines += [f'##FILTER=<ID={name},Description="{FILTER_TEXT[name]}">' for name in FILTER_NAMES]
    for kind, fields in (("INFO", INFO), ("FORMAT", FORMAT)):
        for name, number, type_, text in fields:
            lines.append(f'##{kind}=<ID={name},Number={number},Type={type_},Description="{text}">')
    lines += [f"##contig=<ID={contig.name},length={contig.length},md5={contig.m5}>" for contig in store.contigs]
    lines += [f"##reference={store.reference}", f"##source=baekman {__version__}"]
    lines.append(
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", *(["FORMAT", *ids] if ids else [])])
    )
    encoded = "\n".join(lines).encode() + b"\n\0"
    return b"BCF\2\2" + len(encoded).to_bytes(4, "little") + encoded


def filter_bits(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return each site filter as a number: bit n is ``FILTER_NAMES[n]``, 0 is PASS."""
    known: dict[str, int] = {}
    for text in set(texts):
        known[text] = sum(1 << FILTER_NAMES.index(name) for name in text.split(";") if name != "PASS")
    return np.array([known[text] for text in texts], np.int64)


def encode(
    evidence: Evidence, *, wanted: npt.NDArray[np.bool_], mode: int, by_position: bool, contig: int
) -> Iterator[memoryview]:
    """Yield BCF records of the alleles in ``wanted``, in pieces of whole records; each piece is valid until the next.

    ``by_position`` puts all alleles of a position in one record, with ``*`` for a haplotype that carries neither one of
    them nor the reference. Its QUAL is the best, and it passes the filters when one of its alleles does. A mismatched
    base and an indel on one haplotype are an ALT of their own. An allele has a record of its own where some
    participant's haplotypes have no room for it next to the others.
    """
    alleles = evidence.alleles
    qual = numpy_of(alleles, "qual")
    filters = filter_bits(alleles.column("filter").to_pylist())
    ref_offsets, ref = string_parts(alleles.column("ref").combine_chunks())
    alt_offsets, alt = string_parts(alleles.column("alt").combine_chunks())
    encoder = RecordEncoder(
        by_position=by_position,
        mode=mode,
        contig=contig,
        ids=FIELD_IDS,
        positions=evidence.positions,
        first_allele=evidence.first_allele,
        wanted=wanted.view(np.uint8),
        cells=evidence.cells,
        rows=evidence.rows,
        first_row=evidence.first_row,
        frequency=evidence.frequency,
        qual=qual,
        filters=filters,
        ref_offsets=ref_offsets,
        ref=ref,
        alt_offsets=alt_offsets,
        alt=alt,
        likelihood=LIKELIHOOD,
        limits=GQ_LIMITS,
    )
    out = np.empty(OUTPUT_BYTES, np.uint8)
    begin = 0
    while begin < len(evidence.positions):
        after, size = encoder.encode(begin, out)
        if size:
            yield out[:size].data
        if after == begin:
            out = np.empty(2 * len(out), np.uint8)
        begin = after
