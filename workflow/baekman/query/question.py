"""Questions to a cohort, and the SQL over its views that answers them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baekman.cohort.schema import SITES
from baekman.errors import InputRefused, Problem
from baekman.genome.regions import Region
from baekman.query.limits import Limits
from baekman.query.own_tables import OwnTable

# without the sums that only the next snapshot needs
SITE_COLUMNS = tuple(
    name
    for name in SITES.names
    if not name.startswith(("gq_", "uncalled_", "missing_"))
    and name not in ("qual_sum", "dp_sum", "dp_n", "ad_ref_het", "ad_alt_het", "weight")
)


# columns that fit into a terminal of 80 columns, of sites and of a participant's rows
SHORT_SITES = ("contig", "pos", "ref", "alt", "ac", "an", "af", "filter")
SHORT_CARRIERS = ("participant_id", "sex", "genotype", "gq", "dp", "ad_ref", "ad_alt", "called")
SHORT_CARRIERS_OF_ALLELES = ("contig", "pos", "ref", "alt", "participant_id", "sex", "genotype", "gq", "called")
SHORT_CALLS = ("contig", "pos", "ref", "alt", "copies", "gq", "dp", "called", "filter")


EVERY_ALLELE = "all"  # in place of an allele: the carriers of each
ALLELE_KEY = ("contig", "pos", "ref", "alt")
ANNOTATION_COLUMNS = ("gene", "consequence", "impact", "amino_acid_change", "rsid", "clinvar")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question: ``sql``; or the ``carriers`` of alleles; or a participant's call rows; or the sites of a region.

    Attributes:
        region: text as a person writes it; of call rows and sites.
        participant: an ID.
        sql: one SELECT over the views.
        gene: alleles with a consequence in the gene of that name, whatever its case.
        rsid: alleles with that ID.
        carriers: an allele as ``contig:pos:ref:alt``, or EVERY_ALLELE for each of the region, gene or rsID.
        annotations: the annotations of the alleles, in place of their sites.
        by: the sites are counted in groups of these labels (``groups.LABELS``, or ``table.column`` of ``own``).
        tables: a folder of finished tables, of a freeze too: then the participant's rows are those of the table.
        own: tables of one's own, next to the views.
        limits: of time, memory and disk.
    """

    region: str | None = None
    participant: str | None = None
    sql: str | None = None
    gene: str | None = None
    rsid: str | None = None
    carriers: str | None = None
    annotations: bool = False
    by: Sequence[str] = ()
    tables: Path | None = None
    own: Sequence[OwnTable] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def is_of_everyone(self) -> bool:
        """Return whether the answer may have rows or counts of any participant."""
        return self.sql is not None or self.carriers is not None or bool(self.by)

    @property
    def shows_sites(self) -> bool:
        """Return whether the answer may have sites, which count the whole cohort."""
        return self.participant is None and self.carriers is None and not self.by

    @property
    def short_columns(self) -> Sequence[str]:
        """Return the columns that suffice on a terminal; none where the question is SQL."""
        if self.sql is not None:
            return ()
        if self.carriers == EVERY_ALLELE:
            return SHORT_CARRIERS_OF_ALLELES
        if self.carriers is not None:
            return SHORT_CARRIERS
        if self.by:
            return (*ALLELE_KEY, *label_columns(self.by), "ac", "an", "af", "carriers")
        short = SHORT_SITES if self.shows_sites else SHORT_CALLS
        return (*short[:-1], "gene", "consequence") if self.needs_annotations else short

    @property
    def needs_annotations(self) -> bool:
        """Return whether the question is about annotations, or names a gene or an rsID."""
        return self.annotations or self.names_annotation

    @property
    def names_annotation(self) -> bool:
        """Return whether the question names a gene or an rsID."""
        return self.gene is not None or self.rsid is not None


def label_columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns of labels: ``pheno.age`` is ``pheno_age``."""
    return [label.replace(".", "_") for label in labels]


def sites_in(region: Region | None, *, contigs: Sequence[str], question: Question | None = None) -> str:
    """Return SQL for the alleles with their POS in ``region``, else for all, in the order of ``contigs``.

    With the gene or rsID of ``question``: those alleles, and their annotations too.
    """
    return _selected("sites", SITE_COLUMNS, where=_conditions(region, question), contigs=contigs, question=question)


def annotations_in(region: Region | None, *, contigs: Sequence[str], question: Question) -> str:
    """Return SQL for the annotations of alleles, as ``sites_in`` does for the alleles."""
    return _selected("annotations", ["*"], where=_conditions(region, question), contigs=contigs, question=None)


def groups_in(labels: Sequence[str], *, contigs: Sequence[str], question: Question) -> str:
    """Return SQL for counts of alleles in groups with the annotations of the alleles; ``labels`` are columns."""
    columns, order = ["group_counts.*"], [f'"{label}"' for label in labels]
    return _selected("group_counts", columns, where=[], contigs=contigs, question=question, order=order)


def calls_of(
    participant: str, region: Region | None, *, contigs: Sequence[str], question: Question | None = None
) -> str:
    """Return SQL for a participant's call rows, as ``sites_in`` does for alleles."""
    where = [f"participant_id = {_quoted(participant)}", *_conditions(region, question)]
    return _selected("calls", ["calls.*"], where=where, contigs=contigs, question=question)


def carriers_in(region: Region | None, *, contigs: Sequence[str], question: Question) -> str:
    """Return SQL for the carriers of each allele of a region, gene or rsID, in the order of the genome, then of IDs.

    Columns: the key of the allele, its annotations where ``question`` needs them, then those of ``carriers_of``.
    """
    columns = [*ALLELE_KEY, *(ANNOTATION_COLUMNS if question.needs_annotations else ()), CARRIER_COLUMNS]
    source = "calls JOIN participants USING (participant_id)"
    where, order = ["copies > 0", *_conditions(region, question)], ["participant_id"]
    return _selected(source, columns, where=where, contigs=contigs, question=question, order=order)


def _selected(
    source: str,
    columns: Sequence[str],
    *,
    where: Sequence[str],
    contigs: Sequence[str],
    question: Question | None,
    order: Sequence[str] = (),
) -> str:
    """Return SQL for ``columns`` of ``source``, in the order of the genome and then by ``order``."""
    if question is not None and question.needs_annotations:
        source += " JOIN annotations USING (contig, pos, ref, alt)"
        columns = [*columns, *(name for name in ANNOTATION_COLUMNS if name not in columns)]
    condition = f"WHERE {' AND '.join(where)} " if where else ""
    return f"SELECT {', '.join(columns)} FROM {source} {condition}{', '.join([_in_order(contigs), *order])}"


def alleles_with(region: Region | None, question: Question) -> str:
    """Return SQL for the alleles (``ALLELE_KEY``) that have the gene and the rsID of ``question``."""
    return f"SELECT {', '.join(ALLELE_KEY)} FROM annotations WHERE {' AND '.join(_conditions(region, question))}"


def _conditions(region: Region | None, question: Question | None) -> list[str]:
    conditions = [_within(region)] if region is not None else []
    if question is not None and question.gene is not None:
        names = "list_transform(genes, lambda name: lower(name))"
        conditions.append(f"list_contains({names}, lower({_quoted(question.gene)}))")
    if question is not None and question.rsid is not None:
        conditions.append(f"list_contains(string_split(rsid, ';'), {_quoted(question.rsid)})")
    return conditions


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _within(region: Region) -> str:
    return f"contig = {_quoted(region.contig)} AND pos BETWEEN {region.start} AND {region.end}"


def _in_order(contigs: Sequence[str]) -> str:
    names = ", ".join(map(_quoted, contigs))
    return f"ORDER BY list_position([{names}], contig), pos, ref, alt"


@dataclass(frozen=True, kw_only=True)
class Allele:
    """An allele of the cohort, normalised; ``pos`` is 1-based."""

    contig: str
    pos: int
    ref: str
    alt: str


CARRIER_COLUMNS = (
    "participant_id, sex, CASE WHEN ploidy = 1 THEN '1' WHEN copies = 2 THEN if(phase = 3, '1|1', '1/1') "
    "WHEN phase = 1 THEN '1|0' WHEN phase = 2 THEN '0|1' ELSE '0/1' END AS genotype, copies, ploidy, other, "
    "gq, dp, ad_ref, ad_alt, called"
)
_ALLELE = re.compile(r"(?P<place>.+:[\d,]+):(?P<ref>[ACGTN]+):(?P<alt>[ACGTN]+)", re.IGNORECASE)


def parse_allele(text: str, *, parse_region: Callable[[str], Region]) -> Allele:
    """Return the allele that a person writes as ``chr20:1,000:A:G``; raise InputRefused for other text."""
    match = _ALLELE.fullmatch(text.strip())
    if match is None:
        raise InputRefused(
            Problem(
                file="--carriers",
                expected="an allele as contig:pos:ref:alt, 1-based",
                found=repr(text),
                action="e.g. chr20:1000:A:G; without an allele it goes with --region: --region chr20:1000 --carriers",
            )
        )
    region = parse_region(match["place"])
    return Allele(contig=region.contig, pos=region.start, ref=match["ref"].upper(), alt=match["alt"].upper())


def carriers_of(allele: Allele) -> str:
    """Return SQL for the call rows with a copy of ``allele``, by participant.

    ``genotype`` is written as in VCF; a copy of another ALT or of a spanning deletion is 0 there and in ``other``.
    """
    where = f"contig = {_quoted(allele.contig)} AND pos = {allele.pos}"
    return (
        f"SELECT {CARRIER_COLUMNS} FROM calls JOIN participants USING (participant_id) "
        f"WHERE {where} AND ref = {_quoted(allele.ref)} AND alt = {_quoted(allele.alt)} AND copies > 0 "
        "ORDER BY participant_id"
    )


def alleles_at(allele: Allele) -> str:
    """Return SQL for REF and ALT of the alleles of the cohort at the position of ``allele``."""
    return f"SELECT ref, alt FROM sites WHERE contig = {_quoted(allele.contig)} AND pos = {allele.pos} ORDER BY ALL"
