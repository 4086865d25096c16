"""The consequences of alleles for genes, by ``bcftools csq`` for each allele on its own.

Danecek and McCarthy, "BCFtools/csq: haplotype-aware variant consequences", Bioinformatics 2017. ``--local-csq`` looks
at one record at a time, so that the result for an allele does not depend on other alleles or participants.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from baekman.annotation.schema import ANNOTATIONS, RANK, SEVERITY
from baekman.tools.pipes import running
from baekman.tools.programs import command

PROTEIN = 16  # amino acids that are shown of a changed protein
MITOCHONDRIAL = 2  # the table of the vertebrate mitochondrial code
FIELDS = ("consequence", "gene", "transcript", "biotype", "strand", "amino_acid_change", "dna_change")
OF_GENES = pa.schema(
    [
        ANNOTATIONS.field(name)
        for name in ("gene", "consequence", "impact", "transcript", "amino_acid_change", "genes", "consequences")
    ]
)


def vcf_of(alleles: pa.Table, *, contig: str, length: int) -> Iterator[bytes]:
    """Yield a VCF of ``alleles`` (``pos ref alt``) without samples; ID is the number of the row, from 0."""
    yield f"##fileformat=VCFv4.2\n##contig=<ID={contig},length={length}>\n".encode()
    yield b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    rows = alleles.append_column("row", pa.array(np.arange(alleles.num_rows)))
    for batch in rows.to_batches(max_chunksize=1 << 16):
        texts = [pc.cast(batch.column(name), pa.string()) for name in ("pos", "row", "ref", "alt")]
        lines = pc.binary_join_element_wise(contig, *texts, ".\t.\t.\n", "\t")
        yield lines.buffers()[2].to_pybytes() if len(lines) else b""


def consequences_of(
    alleles: pa.Table, *, contig: str, length: int, reference: Path, genes: Path, is_mitochondrial: bool = False
) -> pa.Table:
    """Return ``row`` and ``csq`` for each of ``alleles`` with a consequence; ``csq`` is the text of BCSQ.

    ``reference`` is an indexed FASTA with the contig, ``genes`` a GFF3 with its features. Raises PipeFailed when
    bcftools does, with its reason on stderr.
    """
    code = f"{MITOCHONDRIAL}" if is_mitochondrial else "0"
    csq = ["--local-csq", "--no-version", "--verbosity", "0", "--genetic-code", code, "-Ou"]
    csq += ["--fasta-ref", str(reference), "--gff-annot", str(genes), "--trim-protein-seq", str(PROTEIN)]
    query = ["-f", "%ID\t%INFO/BCSQ\n", "-i", 'INFO/BCSQ!="."']
    bcftools = command("bcftools")
    commands = ([*bcftools, "csq", *csq, "-"], [*bcftools, "query", *query, "-"])
    with running(*commands, source=vcf_of(alleles, contig=contig, length=length)) as pipe:
        text = pipe.stdout.read()
        pipe.require_success()
    return table_of_text(text, {"row": pa.int64(), "csq": pa.string()})


def table_of_text(text: bytes, columns: dict[str, pa.DataType]) -> pa.Table:
    """Return lines of tab-separated fields as a table."""
    if not text:
        return pa.schema(list(columns.items())).empty_table()
    return pacsv.read_csv(
        io.BytesIO(text),
        read_options=pacsv.ReadOptions(column_names=list(columns)),
        parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pacsv.ConvertOptions(column_types=columns, strings_can_be_null=True, null_values=["."]),
    )


def parsed(texts: pa.Table) -> pa.Table:
    """Return ``row`` and the columns of ANNOTATIONS that follow from ``csq`` (see ``consequences_of``).

    Equal texts are parsed once: most alleles with a consequence lie in introns.
    """
    encoded = texts.column("csq").combine_chunks().dictionary_encode()
    values = pa.Table.from_pylist([_parse(text) for text in encoded.dictionary.to_pylist()], schema=OF_GENES)
    return values.take(encoded.indices).add_column(0, "row", texts.column("row"))


def _parse(text: str) -> dict[str, Any]:
    """Return the values of OF_GENES of a text of BCSQ: consequences separated by commas, their fields by ``|``."""
    consequences = [
        {name: value or None for name, value in zip_longest(FIELDS, each.split("|"))} for each in text.split(",")
    ]
    consequences.sort(key=lambda each: (_rank(each["consequence"]), each["transcript"] or "", each["gene"] or ""))
    worst = consequences[0]
    return {
        **{name: worst[name] for name in ("gene", "consequence", "transcript", "amino_acid_change")},
        "impact": SEVERITY.get(_terms(worst["consequence"])[0], "MODIFIER"),
        "genes": sorted({each["gene"] for each in consequences if each["gene"]}),
        "consequences": consequences,
    }


def _terms(consequence: str | None) -> list[str]:
    """Return the terms of a consequence, the most severe first; ``*`` marks an allele after a stop."""
    terms = [term.lstrip("*@") for term in (consequence or "").split("&")]
    return sorted(terms, key=lambda term: RANK.get(term, len(RANK)))


def _rank(consequence: str | None) -> int:
    return RANK.get(_terms(consequence)[0], len(RANK))
