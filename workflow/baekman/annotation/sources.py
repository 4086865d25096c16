"""The files that alleles are annotated from: a GFF3 of genes, and VCFs of rsIDs and of ClinVar."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pacsv

from baekman.errors import InputRefused, Problem
from baekman.files.digests import sha256_of
from baekman.genome.chromosomes import chromosome_of
from baekman.genome.contigs import Contig

if TYPE_CHECKING:
    import pysam

KINDS = ("genes", "rsids", "clinvar")
INDEXES = (".tbi", ".csi")
GFF_COLUMNS = ("seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes")
SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Sources:
    """The files of ``annotate`` in the configuration.

    ``genes``: a GFF3 as Ensembl writes it, plain or gzip. ``rsids``: an indexed VCF or BCF with rsIDs in ID, as dbSNP.
    ``clinvar``: an indexed VCF with CLNSIG, as ClinVar. ``aliases``: other names of contigs, name there -> name in the
    cohort. Each file is optional.
    """

    genes: Path | None = None
    rsids: Path | None = None
    clinvar: Path | None = None
    aliases: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return any((self.genes, self.rsids, self.clinvar))

    @cached_property
    def files(self) -> dict[str, Path]:
        """The files that are configured, by kind."""
        return {kind: path for kind in KINDS if (path := getattr(self, kind)) is not None}

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file by its kind."""
        return {kind: sha256_of(path) for kind, path in self.files.items()}


def sources_of(settings: Mapping[str, Any]) -> Sources:
    """Return the sources that the configuration ``settings`` names; they are false where it names none."""
    chosen = {kind: Path(path) for kind, path in settings["annotate"].items() if path is not None}
    return Sources(**chosen, aliases=tuple(sorted(settings["cohort"]["contig_aliases"].items())))


def require_usable(sources: Sources, contigs: Sequence[Contig]) -> None:
    """Raise InputRefused unless each file can be read, has its index, and is of the reference of ``contigs``."""
    problems = [
        Problem(file=path.name, place=f"annotate.{kind}", **problem)
        for kind, path in sources.files.items()
        if (problem := _problem(path, kind=kind, contigs=contigs, aliases=dict(sources.aliases)))
    ]
    if problems:
        raise InputRefused(problems)


def _problem(path: Path, *, kind: str, contigs: Sequence[Contig], aliases: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with a file, as the fields of a Problem; empty for a usable file."""
    try:
        lengths = contig_lengths(path, kind=kind)
        fields = _info_fields(path) if kind == "clinvar" else {"CLNSIG"}
    except (OSError, ValueError, pa.ArrowException):
        expected = "a GFF3 file, plain or gzip" if kind == "genes" else "a VCF or BCF"
        return {"expected": expected, "found": "another file", "action": "correct the path in the configuration"}
    if kind != "genes" and not any(Path(f"{path}{ending}").is_file() for ending in INDEXES):
        action = f"make it: bcftools index --tbi {path.name} (compress the VCF first with bgzip)"
        return {"expected": "its index next to it", "found": "none", "action": action}
    if "CLNSIG" not in fields:
        return {"expected": "a VCF with INFO/CLNSIG, as ClinVar", "found": "none", "action": "correct the path"}
    names = names_in_cohort(lengths, [contig.name for contig in contigs], aliases=aliases)
    if not names:
        return {
            "expected": f"contigs of the cohort ({_some(contig.name for contig in contigs)})",
            "found": f"other names ({_some(lengths)})",
            "action": "name them in cohort.contig_aliases (name in the file: name in the cohort)",
        }
    own = {contig.name: contig.length for contig in contigs}
    for name, other in names.items():
        # the last feature of a GFF3 ends before the contig does; a VCF may not know a length
        if lengths[name] > own[other] or (kind != "genes" and lengths[name] not in (0, own[other])):
            return {
                "expected": f"positions of the cohort's reference ({other}: {own[other]} bases)",
                "found": f"{lengths[name]} bases of {name}",
                "action": "take the file for this assembly",
            }
    return {}


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "") if listed else "none"


def contig_lengths(path: Path, *, kind: str) -> dict[str, int]:
    """Return the contigs of a file with their lengths: of a GFF3 the last end of a feature; 0 for an unknown one."""
    if kind == "genes":
        ends: dict[str, int] = {}
        for batch in features(path):
            table = pa.table({"seqid": batch.column("seqid"), "end": batch.column("end").cast(pa.int64())})
            for name, end in zip(
                *table.group_by("seqid").aggregate([("end", "max")]).to_pydict().values(), strict=True
            ):
                ends[name] = max(end, ends.get(name, 0))
        if not ends:
            raise ValueError("no feature")
        return ends
    with _opened(path) as file:
        return {name: contig.length or 0 for name, contig in file.header.contigs.items()}


def _info_fields(path: Path) -> set[str]:
    with _opened(path) as file:
        return set(file.header.info)


@contextmanager
def _opened(path: Path) -> Iterator[pysam.VariantFile]:
    """Yield an open VCF or BCF; htslib prints nothing, since the refusal has the message."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        with pysam.VariantFile(str(path)) as file:
            yield file
    finally:
        pysam.set_verbosity(before)


def names_in_cohort(names: Iterable[str], contigs: Sequence[str], *, aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the cohort's name of each of ``names`` that it has: equal, by ``aliases``, or of the same chromosome."""
    by_chromosome = {chromosome_of(contig): contig for contig in contigs}
    by_chromosome.pop("", None)
    own = set(contigs)
    found = {}
    for name in names:
        for candidate in (name, aliases.get(name, name), by_chromosome.get(chromosome_of(name), "")):
            if candidate in own:
                found[name] = candidate
                break
    return found


def features(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the features of a GFF3 file (columns GFF_COLUMNS, all text); directives and comments are skipped."""
    options = {
        "read_options": pacsv.ReadOptions(column_names=list(GFF_COLUMNS), block_size=8 << 20),
        "parse_options": pacsv.ParseOptions(delimiter="\t", quote_char=False, invalid_row_handler=lambda row: "skip"),
        "convert_options": pacsv.ConvertOptions(
            column_types=dict.fromkeys(GFF_COLUMNS, pa.string()), strings_can_be_null=False
        ),
    }
    with path.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else path.open("rb") as file:
        yield from pacsv.open_csv(pa.PythonFile(file, mode="r"), **options)
