"""GLnexus's own cases, loaded and exported: docs/conformance.md has the result of each case."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import create_store
from baekman.errors import InputRefused
from baekman.export.write import Content, export
from support import PROJECT
from support.store_tools import genome_of, implied_bases, read_gvcf, write_reference

PAGE = PROJECT / "docs" / "conformance.md"
SUITE = "suites/glnexus_cases"
Allele = tuple[str, int, str, str]
HEADER = ("case", "genotypes", "same", "we say more", "we say less", "other copies", "alleles only ours", "only theirs")


@dataclass
class Outcome:
    """The comparison of the genotypes of one case, counted over participants and GLnexus's alleles."""

    same: int = 0
    more: list[str] = field(default_factory=list)  # GLnexus has ./. or a half call, we have a genotype
    less: list[str] = field(default_factory=list)  # we have ./., GLnexus a genotype
    other: list[str] = field(default_factory=list)  # both have a genotype, with other copies of the allele
    ours: list[str] = field(default_factory=list)  # alleles with a copy that GLnexus does not show
    theirs: list[str] = field(default_factory=list)  # alleles with a copy that we do not have
    refused: str = ""

    @property
    def is_equal(self) -> bool:
        """True if no genotype and no allele differs."""
        return not (self.refused or self.more or self.less or self.other or self.ours or self.theirs)

    def row(self, case: str) -> tuple[str, ...]:
        """Return the row of the page's table without its verdict; it has dashes if the case is refused."""
        if self.refused:
            return (case, *["-"] * 7)
        counts = (self.same, len(self.more), len(self.less), len(self.other), len(self.ours), len(self.theirs))
        return (case, str(sum(counts[:4])), *map(str, counts))


GAP = 1000  # bases


def closed_up(case: dict[str, Any]) -> dict[str, Any]:
    """Return the case with its records moved to the contig's start, no gap over ``GAP`` and contigs that end there.

    A genome of 3 Gb without a record would only take time and memory.
    """
    texts = [*case["input"]["body"], *case.get("truth_output_vcf", [])]
    spans: dict[str, list[tuple[int, int]]] = {}
    for entry in texts:
        for text in entry.values():
            for contig, pos, ref, rest in re.findall(r"(?m)^([^#\t\n]+)\t(\d+)\t[^\t]*\t([^\t]*)\t(.*)", text):
                block = re.search(r"\bEND=(\d+)", rest)
                end = max(int(pos) + len(ref) - 1, int(block[1]) if block else 0)
                spans.setdefault(contig, []).append((int(pos), end))
    # by contig: from which position on records move back, and how far
    moves: dict[str, list[tuple[int, int]]] = {}
    for contig, covered in spans.items():
        last = back = 0
        for start, end in sorted(covered):
            if start - last > GAP:
                back += start - last - GAP
                moves.setdefault(contig, []).append((start, back))
            last = max(last, end)

    def new(contig: str, pos: int) -> int:
        return pos - max((back for start, back in moves.get(contig, []) if start <= pos), default=0)

    def moved(line: str) -> str:
        contig, _, rest = line.partition("\t")
        if contig not in moves or not rest[:1].isdigit():
            return line
        pos, _, rest = rest.partition("\t")
        rest = re.sub(r"\bEND=(\d+)", lambda end: f"END={new(contig, int(end[1]))}", rest)
        return f"{contig}\t{new(contig, int(pos))}\t{rest}"

    for entry in texts:
        for name, text in entry.items():
            entry[name] = "\n".join(map(moved, text.splitlines())) + "\n"
    ends = {contig: new(contig, max(end for _, end in covered)) for contig, covered in spans.items()}

    def shortened(line: re.Match[str]) -> str:
        return f"{line[1]}{min(int(line[3]), ends.get(line[2], 0) + GAP)}"

    for holder, name in [(case["input"], "header"), *((entry, name) for entry in texts for name in entry)]:
        holder[name] = re.sub(r"(?m)^(##contig=<ID=([^,>]+),.*?\blength=)(\d+)", shortened, holder[name])
    for allele in case.get("truth_discovered_alleles", []):
        allele["range"]["beg"] = new(allele["range"]["ref"], allele["range"]["beg"])
    return case


def inputs(case: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Write the case's gVCFs; return the file of each sample."""
    files: dict[str, Path] = {}
    for entry in case["input"]["body"]:
        ((name, text),) = entry.items()
        sample, _, body = text.partition("\n")
        files[sample] = folder / name
        # some lines of the suite end in a tab, which would be an eleventh column
        lines = [line.rstrip("\t ") for line in body.splitlines()]
        files[sample].write_text("\n".join([f"{case['input']['header'].rstrip()}\t{sample}", *lines]) + "\n")
    return files


def reference_of(paths: list[Path]) -> dict[str, str]:
    """Return the implied reference, N where the case contradicts itself: some were invented without a reference."""
    each = [implied_bases([path]) for path in paths]
    merged: dict[str, str] = {}
    for contig in dict.fromkeys(contig for implied in each for contig in implied):
        sequence = np.full(max(len(implied.get(contig, "")) for implied in each), ord("N"), np.uint8)
        for implied in each:
            bases = np.frombuffer(implied.get(contig, "").encode(), np.uint8)
            at = np.flatnonzero(bases != ord("N"))
            agrees = (sequence[at] == ord("N")) | (sequence[at] == bases[at])
            sequence[at] = np.where(agrees, bases[at], ord("*"))
        sequence[~np.isin(sequence, np.frombuffer(b"ACGT", np.uint8))] = ord("N")  # as a store keeps it
        merged[contig] = sequence.tobytes().decode()
    return merged


def truth(case: dict[str, Any], samples: list[str], reference: dict[str, str], folder: Path) -> dict[Allele, Any]:
    """Return copies and completeness of GLnexus's genotypes by allele and sample, normalised as ours are."""
    (((_name, text),),) = (entry.items() for entry in case["truth_output_vcf"])
    rows = [row.split("\t") for row in text.splitlines() if row and not row.startswith("##")]
    column = {name: number for number, name in enumerate(rows[0])}
    by_allele: dict[Allele, dict[str, tuple[int, bool]]] = {}
    for sample in samples:
        # every ALT is named with one read, so that hom-ref samples have a row too
        lines = []
        for row in rows[1:]:
            reads = ",".join(["1"] * (row[4].count(",") + 2))
            genotype = row[column[sample]].split(":")[0]
            lines.append("\t".join([*row[:5], ".", ".", ".", "GT:AD", f"{genotype}:{reads}"]))
        path = folder / "truth.vcf"
        path.write_text("\n".join(["##fileformat=VCFv4.2", "\t".join([*rows[0][:9], sample]), *lines]) + "\n")
        for row in read_gvcf(path, genome_of(reference)).rows:
            by_allele.setdefault((row.contig, *row.allele), {})[sample] = (row.copies, row.genotyped)
    return by_allele


def ours(samples: dict[str, Path], reference: dict[str, str], folder: Path) -> dict[Allele, Any]:
    """Return the same of our raw dense export, which has one allele per line."""
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", reference))
    members = [Member(participant_id=sample, gvcf=str(path)) for sample, path in samples.items()]
    add_batch(store, batch="all", members=members)
    export(store, read_snapshot(store), format="vcf", output=folder / "out.vcf", content=Content(mode="raw"))
    by_allele: dict[Allele, dict[str, tuple[int, bool]]] = {}
    names: list[str] = []
    for row in (folder / "out.vcf").read_text().splitlines():
        columns = row.split("\t")
        if row.startswith("#CHROM"):
            names = columns[9:]
        elif not row.startswith("#"):
            genotypes = [value.split(":")[0].replace("|", "/").split("/") for value in columns[9:]]
            by_allele[(columns[0], int(columns[1]), columns[3], columns[4])] = {
                name: (genotype.count("1"), "." not in genotype)
                for name, genotype in zip(names, genotypes, strict=True)
            }
    return by_allele


def compare(case: dict[str, Any], folder: Path) -> Outcome:
    """Compare our genotypes of a case with those of GLnexus."""
    case = closed_up(case)
    samples = inputs(case, folder)
    outcome = Outcome()
    if "truth_output_vcf" not in case:  # a case of allele discovery alone
        by_allele = ours(samples, reference_of(list(samples.values())), folder)
        expected = {
            (a["range"]["ref"], a["range"]["beg"], a["dna"])
            for a in case["truth_discovered_alleles"]
            if not a["is_ref"]
        }
        got = {(contig, pos, alt) for contig, pos, _ref, alt in by_allele}
        outcome.same = len(expected & got)
        outcome.ours, outcome.theirs = sorted(map(str, got - expected)), sorted(map(str, expected - got))
        return outcome
    (((_name, text),),) = (entry.items() for entry in case["truth_output_vcf"])
    (folder / "joint.vcf").write_text(text)
    reference = reference_of([*samples.values(), folder / "joint.vcf"])
    try:
        found_at = ours(samples, reference, folder)
    except InputRefused as refusal:
        outcome.refused = str(refusal)
        return outcome
    expected_at = truth(case, list(samples), reference, folder)
    for allele, cells in sorted(expected_at.items()):
        if allele not in found_at:
            if any(copies for copies, _ in cells.values()):
                outcome.theirs.append(str(allele))
            continue
        for sample, (copies, whole) in cells.items():
            our_copies, our_whole = found_at[allele][sample]
            note = f"{allele} {sample}: {copies} {whole} against our {our_copies} {our_whole}"
            if (our_copies == copies and our_whole == whole) or not (our_whole or whole):
                outcome.same += 1
            elif not whole:
                outcome.more.append(note)
            elif not our_whole:
                outcome.less.append(note)
            else:
                outcome.other.append(note)
    for allele, cells in sorted(found_at.items()):
        if allele not in expected_at and any(copies for copies, _ in cells.values()):
            outcome.ours.append(str(allele))
    return outcome


def judged() -> dict[str, list[str]]:
    """Return the rows of the page's table by case."""
    rows = [
        [cell.strip() for cell in row.strip().strip("|").split("|")]
        for row in PAGE.read_text().splitlines()
        if row.startswith("| ") and ".yml" in row
    ]
    return {row[0].strip("`"): row for row in rows}


CASES = sorted(path.name for path in (PROJECT.parent / "shared" / "data" / SUITE).glob("*.yml"))


@pytest.mark.parametrize("name", CASES or ["no cases: real data is absent"])
def test_a_case_comes_out_as_the_page_says(shared_data: Path, tmp_path: Path, name: str) -> None:
    outcome = compare(yaml.safe_load((shared_data / SUITE / name).read_text()), tmp_path)
    if os.environ.get("BAEKMAN_SHOW"):
        print("| " + " | ".join(outcome.row(f"`{name}`")) + " |")
        for kind in ("more", "less", "other", "ours", "theirs"):
            for note in getattr(outcome, kind):
                print("   ", kind, note)
    row = judged()[name]
    assert row[1 : len(HEADER)] == list(outcome.row(name)[1:])
    verdict = row[len(HEADER)]
    assert verdict.startswith("same calls") if outcome.is_equal else verdict.startswith(("by design: ", "differs: "))


def test_every_case_is_judged(shared_data: Path) -> None:
    names = sorted(path.name for path in (shared_data / SUITE).glob("*.yml"))
    assert len(names) == 26
    assert sorted(judged()) == names
    verdicts = Counter(row[len(HEADER)].split(":")[0] for row in judged().values())
    assert set(verdicts) <= {"same calls", "by design", "differs"}
