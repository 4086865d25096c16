"""The small workspace of the examples in docstrings and pages: two participants on chr20, with tables."""

from __future__ import annotations

from pathlib import Path

from baekman import audit
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import read_members
from baekman.cohort.store import create_store
from baekman.tables.make import make_tables
from support.store_tools import block, gvcf_text, line, write_list, write_reference

PARTICIPANTS = ("P000000000001K", "P000000000002N")
LATER = "P000000000003Q"
BASES = "A" * 2_500
CALLS = {
    PARTICIPANTS[0]: ("0/1:30:50:14,16,0:250,0,300,400,400,400", "female"),
    PARTICIPANTS[1]: ("1/1:30:60:0,30,0:600,60,0,600,60,600", "male"),
    LATER: ("0/1:30:50:14,16,0:250,0,300,400,400,400", "female"),
}


def example_workspace(folder: Path) -> Path:
    """Make ``W/cohort``, ``W/tables``, an audit log, ``ref.fa`` and two lists.

    ``more.tsv`` has another participant, and ``better.tsv`` another gVCF of the first.
    """
    rows = []
    for participant, (sample, sex) in CALLS.items():
        lines = [
            block(1, 1_000, "A", contig="chr20"),
            line(1_001, "A", "T,<NON_REF>", sample, contig="chr20", format="GT:DP:GQ:AD:PL"),
            block(1_002, len(BASES), "A", contig="chr20"),
        ]
        path = folder / f"{participant}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={"chr20": len(BASES)}))
        rows.append((participant, path, sex))
    write_list(folder / "first.tsv", rows[:2])
    write_list(folder / "more.tsv", rows[2:])
    write_list(folder / "better.tsv", [(PARTICIPANTS[0], rows[2][1], rows[0][2])])
    workspace = folder / "W"
    workspace.mkdir()
    store = create_store(workspace / "cohort", reference=write_reference(folder / "ref.fa", {"chr20": BASES}))
    add_batch(store, batch="b1", members=read_members(folder / "first.tsv"))
    make_tables(store, output=workspace / "tables")
    audit.record(workspace, action="registry.init")
    return workspace


def example_genes(folder: Path) -> Path:
    """Write a GFF3 with the gene ALPHA around the variant of the workspace; return its path."""
    kinds = (("ncRNA_gene", "ID=gene:G1;Name=ALPHA;biotype=lncRNA;gene_id=G1"),)
    kinds += (("lnc_RNA", "ID=transcript:T1;Parent=gene:G1;biotype=lncRNA"), ("exon", "Parent=transcript:T1"))
    rows = ["\t".join(["20", "test", kind, "901", "1100", ".", "+", ".", text]) for kind, text in kinds]
    path = folder / "genes.gff3"
    path.write_text("\n".join(["##gff-version 3", *rows, "###"]) + "\n")
    return path
