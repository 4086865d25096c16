#!/usr/bin/env python3
"""Real reads as deliveries, from intake to tables; prints figures of docs/benchmarks.md ("Real deliveries").

Examples:
scripts/benchmarks/real_deliveries.py na12878 --data READS    her gVCF and table against the truth and plain commands
scripts/benchmarks/real_deliveries.py trio --data READS       Mendelian errors, counted from three tables
scripts/benchmarks/real_deliveries.py ceu24 --data READS      24 people at 2-9x; --participants 6: the first six

Each makes a delivery (files, manifest.tsv, delivery.yaml), a registration table and a workspace with its
configuration, and runs ``baekman registry init``, ``registry import`` and ``deliver``. ``--keep DIR`` keeps them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import polars as pl
import pysam
from baekman.registry.records import open_registry
from baekman.tables.files import reference_path, table_path
from baekman.tools import programs as tools
from baekman.tools.pipes import piped
from baekman.verdicts import read_verdicts
from calling import accuracy
from low_coverage import (
    LENGTH,
    SLICE,
    baekman,
    call_on_all_reads,
    export,
    figures,
    people,
    print_figures,
    write_reference,
)

MIN_GQ = 20
INSTITUTION = "Hanbit Hospital"  # invented, as are the subjects' codes
# of the 1000 Genomes Project's list of samples
WOMEN = {
    *("NA07000", "NA07056", "NA10847", "NA11892", "NA11918", "NA11920", "NA11931", "NA11993", "NA11995"),
    *("NA12004", "NA12006", "NA12878", "HG001", "NA12892"),
}
FEW_READS = """\
metrics:
  mean_autosome_coverage: {hold_below: 1}
  pct_autosomes_15x: {hold_below: null}
  pct_autosomes_20x: {hold_below: null}
  pct_bases_q30: {hold_below: null}
  median_insert_size: {hold_below: null}
"""


@dataclass(frozen=True)
class Delivered:
    """One file of a delivery: the specimen's label, the file's kind, where it lies."""

    label: str
    kind: str
    path: Path


@dataclass(frozen=True)
class Run:
    """A delivery that went through a workspace: its ID, and the participant ID of each specimen."""

    workspace: Path
    delivery: str
    participants: dict[str, str]

    def verdicts(self) -> dict[str, int]:
        """Count the specimens that were accepted, held and rejected at the QC gate."""
        file = self.workspace / "deliveries" / self.delivery / "verdicts" / "qc.json"
        return dict(Counter(verdict.verdict for verdict in read_verdicts(file)))

    def table(self, label: str) -> pl.DataFrame:
        """Read the variants of a participant."""
        return pl.read_parquet(table_path(self.workspace / "tables", self.participants[label]))

    def reference(self, label: str) -> pl.DataFrame:
        """Read the reference blocks of a participant."""
        return pl.read_parquet(reference_path(self.workspace / "tables", self.participants[label]))


def slice_reference(source: Path, path: Path, *, contig: str, start: int, end: int, masked: int = 0) -> Path:
    """Write the bases ``start`` to ``end`` (1-based, inclusive) of a contig as a FASTA with its index.

    ``masked`` N stand before them: with ``start - 1`` of them, positions are those of the whole contig. Coverage is
    judged on the other bases. An index of the aligner takes as long for an N as for a base.
    """
    with pysam.FastaFile(str(source)) as fasta:
        sequence = "N" * masked + fasta.fetch(contig, start - 1, end)
    lines = (sequence[at : at + 1000] for at in range(0, len(sequence), 1000))
    path.write_text(f">{contig}\n" + "\n".join(lines) + "\n", encoding="ascii")
    pysam.faidx(str(path))
    return path


def write_delivery(folder: Path, *, name: str, reference: str, files: Sequence[Delivered]) -> None:
    """Write ``manifest.tsv`` and ``delivery.yaml`` next to the delivered files."""
    rows = ["specimen_id\tfile\tkind\tread_group\tsha256\tsize"]
    for file in files:
        content = file.path.read_bytes()
        lane = "L001" if file.kind.startswith("fastq") else ""
        digest = hashlib.sha256(content).hexdigest()
        rows.append("\t".join([file.label, file.path.name, file.kind, lane, digest, str(len(content))]))
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    sheet = {"delivery": name, "institution": INSTITUTION, "platform": "ILLUMINA", "reference": reference}
    text = "".join(f"{key}: {value}\n" for key, value in sheet.items())
    (folder / "delivery.yaml").write_text(text, encoding="utf-8")


def write_registration(path: Path, labels: Sequence[str]) -> None:
    """Write a registration table with everybody's consent."""
    columns = "institution specimen_id participant participant_type registered_sex consent consent_from"
    rows = [columns.replace(" ", "\t")]
    for number, label in enumerate(labels, start=1):
        sex = "female" if label in WOMEN else "male"
        rows.append("\t".join([INSTITUTION, label, f"SUBJECT-{number:04d}", "general", sex, "granted", "2025-01-01"]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def deliver(
    folder: Path,
    *,
    name: str,
    reference: Path,
    files: Sequence[Delivered],
    aligned_to: str = "",
    settings: str = "",
    thresholds: str = "",
) -> Run:
    """Send ``files``, which lie in ``folder/delivery``, through a new workspace, ``folder/workspace``.

    ``aligned_to`` names the reference that the delivery was made with, where that is not ours.
    """
    prepare(
        folder,
        name=name,
        reference=reference,
        files=files,
        aligned_to=aligned_to,
        settings=settings,
        thresholds=thresholds,
    )
    return send(folder, files=files)


def prepare(
    folder: Path,
    *,
    name: str,
    reference: Path,
    files: Sequence[Delivered],
    aligned_to: str = "",
    settings: str = "",
    thresholds: str = "",
) -> None:
    """Make ``folder/workspace`` with its registrations, and complete the delivery; see ``deliver``."""
    workspace = folder / "workspace"
    workspace.mkdir()
    write_delivery(folder / "delivery", name=name, reference=aligned_to or reference.stem, files=files)
    labels = list(dict.fromkeys(file.label for file in files))
    write_registration(folder / "registration.tsv", labels)
    config = f"reference: {reference.resolve()}\n{settings}"
    if thresholds:
        (workspace / "qc_thresholds.yaml").write_text(thresholds, encoding="utf-8")
        config += "qc_thresholds: qc_thresholds.yaml\n"
    (workspace / "config.yaml").write_text(config, encoding="utf-8")
    baekman("registry", "init", "--workspace", workspace)
    baekman("registry", "import", folder / "registration.tsv", "--workspace", workspace)


def send(folder: Path, *, files: Sequence[Delivered]) -> Run:
    """Run ``baekman deliver`` on what ``prepare`` made."""
    workspace = folder / "workspace"
    delivery = baekman("deliver", folder / "delivery", "--workspace", workspace).strip()
    registry = open_registry(workspace)
    labels = list(dict.fromkeys(file.label for file in files))
    records = {label: registry.specimen(INSTITUTION, label) for label in labels}
    participants = {label: record.participant_id for label, record in records.items() if record is not None}
    return Run(workspace=workspace, delivery=delivery, participants=participants)


# ---- NA12878: her gVCF and her table against the truth ------------------------------------------------------------


def na12878(data: Path, folder: Path, _: int | None) -> dict[str, object]:
    """Deliver NA12878's reads; return the accuracy of her gVCF, her table and the plain commands."""
    source = data / "na12878_hg19_chr20"
    reference = slice_reference(
        source / "ucsc.hg19.chr20.unittest.fasta.gz",
        folder / "hg19_chr20.fa",
        contig="chr20",
        start=9_999_001,
        end=10_101_000,
        masked=9_999_000,  # the truth has the positions of the whole contig
    )
    reads = [folder / "delivery" / f"NA12878_S1_L001_R{mate}_001.fastq.gz" for mate in (1, 2)]
    samtools = tools.command("samtools")
    piped(
        [*samtools, "collate", "-Ou", "-T", folder / "collate", source / "NA12878_S1.chr20.10_10p1mb.bam", "-O"],
        [*samtools, "fastq", "-n", "-1", reads[0], "-2", reads[1], "-0", "/dev/null", "-s", "/dev/null", "-"],
    )
    files = [Delivered("NA12878", f"fastq_{mate}", path) for mate, path in enumerate(reads, start=1)]
    run = deliver(folder, name="NA12878-52x", reference=reference, files=files)
    indexed = run.workspace / "reference" / reference.name
    plain = folder / "plain.bcf"
    piped(
        ["bwa", "mem", "-R", "@RG\\tID:NA12878\\tSM:NA12878", indexed, *reads],
        ["samtools", "sort", "-u", "-T", folder / "sort", "-"],
        ["bcftools", "mpileup", "-Ou", "-f", indexed, "-"],
        ["bcftools", "call", "-mv", "-Ob", "-o", plain],
    )
    table = run.table("NA12878")
    carried = table.filter(pl.col("called"), pl.col("caller_filter") == "PASS", pl.col("copies") > 0)
    gvcf = run.workspace / "participants" / run.participants["NA12878"] / "calls.g.vcf.gz"
    calls = {
        "plain": (plain, 0),
        "gvcf": (gvcf, MIN_GQ),
        "table": (write_calls(carried, folder / "calls.vcf", reference=reference), 0),
    }
    accuracies = {
        name: accuracy(source, vcf, reference, folder, min_gq=min_gq) for name, (vcf, min_gq) in calls.items()
    }
    return {"verdicts": run.verdicts(), "rows": len(table), "called": len(carried), "accuracy": accuracies}


def write_calls(rows: pl.DataFrame, path: Path, *, reference: Path) -> Path:
    """Write the rows of a table as a VCF that ``truth.py`` reads."""
    with pysam.FastaFile(str(reference)) as fasta, path.open("w", encoding="ascii") as out:
        contigs = zip(fasta.references, fasta.lengths, strict=True)
        out.write("##fileformat=VCFv4.2\n")
        out.writelines(f"##contig=<ID={name},length={length}>\n" for name, length in contigs)
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tcalls\n")
        for contig, pos, ref, alt, copies in rows.select("contig", "pos", "ref", "alt", "copies").iter_rows():
            genotype = "1/1" if copies == 2 else "0/1"
            out.write(f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{genotype}\n")
    return path


def print_na12878(result: dict[str, object]) -> None:
    """Print the table of docs/benchmarks.md."""
    print(f"QC gate: {result['verdicts']}; rows of the table: {result['rows']}, called {result['called']}\n")
    accuracies: dict[str, dict[str, float]] = result["accuracy"]  # type: ignore[assignment]
    print("| Calls | kind | precision | recall | F1 | recall, NIST slice | recall, GIAB slice |")
    print("|---|---|---|---|---|---|---|")
    for (name, accuracy_of), kind in product(accuracies.items(), ("snv", "indel")):
        columns = ("precision", "recall", "f1", "recall_nist", "recall_giab")
        print(
            f"| {name} | {kind} | " + " | ".join(f"{accuracy_of[f'{kind}_{column}']:.4f}" for column in columns) + " |"
        )


# ---- the trio -----------------------------------------------------------------------------------------------------


def trio(data: Path, folder: Path, _: int | None) -> dict[str, object]:
    """Deliver the trio's alignments; return the Mendelian errors of their tables."""
    source = data / "ceu_trio_b37_chr20_10kb"
    reference = slice_reference(
        source / "hs37d5.chr20.fa.gz", folder / "b37_chr20.fa", contig="20", start=9_999_841, end=10_010_200
    )
    files = []
    for label in ("HG001", "NA12891", "NA12892"):  # child, father, mother
        (bam,) = source.glob(f"{label}.*.bam")
        files.append(Delivered(label, "bam", Path(shutil.copy(bam, folder / "delivery" / f"{label}.bam"))))
    run = deliver(
        folder,
        name="CEU-trio",
        reference=reference,
        files=files,
        aligned_to="GRCh37",
        thresholds="metrics:\n  mean_autosome_coverage: {hold_below: 15}\n"
        "  pct_autosomes_15x: {hold_below: 80}\n  pct_autosomes_20x: {hold_below: null}\n",
    )
    sites, errors = mendelian_errors([Genotyped.read(run, label) for label in ("HG001", "NA12891", "NA12892")])
    return {"verdicts": run.verdicts(), "sites": sites, "mendelian_errors": errors}


@dataclass(frozen=True)
class Genotyped:
    """The two tables of a participant by position: sure copies of alleles, and the called reference.

    ``copies``: position -> allele -> copies, None where the row is not called, has a GQ below 20 or a caller's filter.
    """

    copies: dict[int, dict[tuple[str, str], int | None]]
    starts: list[int]
    ends: list[int]

    @classmethod
    def read(cls, run: Run, label: str) -> Genotyped:
        """Read both tables."""
        copies: dict[int, dict[tuple[str, str], int | None]] = {}
        rows = run.table(label).with_columns(
            sure=pl.col("called") & (pl.col("gq") >= MIN_GQ) & (pl.col("caller_filter") == "PASS")
        )
        for pos, ref, alt, number, sure in rows.select("pos", "ref", "alt", "copies", "sure").iter_rows():
            copies.setdefault(pos, {})[ref, alt] = number if sure else None
        blocks = run.reference(label).filter(pl.col("called"))
        return cls(copies=copies, starts=blocks["start"].to_list(), ends=blocks["end"].to_list())

    def of(self, pos: int, allele: tuple[str, str]) -> int | None:
        """Return the copies of ``allele``; None where they are not known."""
        here = self.copies.get(pos)
        if here is not None:
            return here[allele] if allele in here else None if None in here.values() else 0
        block = bisect_right(self.starts, pos) - 1
        return 0 if block >= 0 and pos <= self.ends[block] else None


def mendelian_errors(family: Sequence[Genotyped]) -> tuple[int, int]:
    """Count the alleles that one member carries and all have genotypes at, and those that cannot be inherited.

    ``family``: child, father, mother.
    """
    alleles = {(pos, allele) for member in family for pos, here in member.copies.items() for allele in here}
    gametes = ({0}, {0, 1}, {1})
    sites = errors = 0
    for pos, allele in alleles:
        child, father, mother = (member.of(pos, allele) for member in family)
        if child is None or father is None or mother is None or not child + father + mother:
            continue
        sites += 1
        errors += child not in {sum(pair) for pair in product(gametes[father], gametes[mother])}
    return sites, errors


def print_trio(result: dict[str, object]) -> None:
    """Print the figures of docs/benchmarks.md."""
    print(f"QC gate: {result['verdicts']}; sites: {result['sites']}, Mendelian errors: {result['mendelian_errors']}")


# ---- 24 people at low coverage ------------------------------------------------------------------------------------


def ceu24(data: Path, folder: Path, participants: int | None) -> dict[str, object]:
    """Deliver alignments at low coverage; return the concordance of the export with a call on all reads.

    ``participants``: the number of them, in the order of their names (all without it).
    """
    reference = write_reference(data, folder / "b37_chr20.fa", length=SLICE.end)
    bams = dict(list(people(data).items())[:participants])
    files = []
    for label, bam in bams.items():
        path = folder / "delivery" / f"{label}.bam"
        # the reads stay as they were aligned; the header has length and M5 of the whole chromosome, the reference is a
        # slice
        cut = f"sed 's/LN:{LENGTH}/LN:{SLICE.end}/; s/\tM5:[0-9a-f]*//'"
        with path.open("wb") as out:
            command = [*tools.command("samtools"), "reheader", "--no-PG", "-c", cut, str(bam)]
            subprocess.run(command, stdout=out, check=True)
        files.append(Delivered(label, "bam", path))
    run = deliver(
        folder,
        name="CEU-low-coverage",
        reference=reference,
        files=files,
        settings="aligned_input: accept\n",
        thresholds=FEW_READS,
    )
    links = {label: folder / f"{label}.bam" for label in bams}  # the index lies next to the link
    for label, link in links.items():
        link.symlink_to(bams[label].resolve())
        pysam.index(str(link))
    everyone = folder / "all_reads.bcf"
    call_on_all_reads(list(links.values()), reference=reference, output=everyone)
    columns = [run.participants[label] for label in bams]
    result = figures(data, everyone, export(run.workspace / "cohort", folder), columns)
    tables = [*(run.workspace / "tables").glob("variants/*/P*.parquet")]
    return {"verdicts": run.verdicts(), "participants": len(bams), "tables": len(tables), **result}


def print_ceu24(result: dict[str, object]) -> None:
    """Print the tables of docs/benchmarks.md."""
    print(f"QC gate: {result['verdicts']}; tables: {result['tables']} of {result['participants']}\n")
    print_figures(result)


SETS: dict[str, tuple[Callable[[Path, Path, int | None], dict[str, object]], Callable[[dict[str, object]], None]]] = {
    "na12878": (na12878, print_na12878),
    "trio": (trio, print_trio),
    "ceu24": (ceu24, print_ceu24),
}


def main() -> None:
    """Deliver a set, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=SETS)
    parser.add_argument("--data", type=Path, required=True, help="Folder of the real reads.")
    parser.add_argument("--participants", type=int, help="ceu24: the number of participants (24)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for delivery and workspace, kept")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no folder of reads at {options.data}: give --data")
    pysam.set_verbosity(0)
    measure, show = SETS[options.which]
    with tempfile.TemporaryDirectory(prefix="baekman-real-") as scratch:
        folder = options.keep or Path(scratch)
        (folder / "delivery").mkdir(parents=True)
        result = measure(options.data, folder, options.participants)
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
