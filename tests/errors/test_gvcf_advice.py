"""Advice in a message works for the store that exists: each test follows it word by word."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from baekman.cohort.store import open_store
from support.store_tools import BASES, baekman, block, gvcf_text, line, write_reference

CONTIGS = {"chr1": BASES, "chr2": BASES}
GOOD = line(10, "C", "T", "0/1:40:22:11,11:45,0,42", contig="chr1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a store and a configuration of its reference."""
    reference = write_reference(tmp_path / "ref.fa", CONTIGS)
    baekman("cohort", "init", "--cohort", tmp_path / "store", "--reference", reference)
    (tmp_path / "config.yaml").write_text("reference: ref.fa\n")
    return tmp_path


def add(folder: Path, lines: list[str], *, batch: str = "b", contigs: dict[str, int] | None = None) -> tuple[int, str]:
    """Add a gVCF of ``lines`` with the configuration of ``folder``; return the exit code and the messages."""
    (folder / "one.g.vcf").write_text(gvcf_text(lines, contigs=contigs or {n: len(b) for n, b in CONTIGS.items()}))
    (folder / "list.tsv").write_text("P1\tone.g.vcf\tmale\n")
    done = baekman(
        *("cohort", "add", "--cohort", folder / "store", "--batch", batch, "--gvcfs", folder / "list.tsv"),
        *("--config", folder / "config.yaml"),
        check=False,
    )
    notes = [text for text in done.stderr.splitlines(keepends=True) if text.startswith(("refused:", "note: sites"))]
    return done.returncode, "".join(notes)


def configure(folder: Path, advice: str) -> None:
    (folder / "config.yaml").write_text(f"reference: ref.fa\ncohort:\n  {advice}\n")


def test_a_contig_is_left_out_as_the_message_says(folder: Path) -> None:
    lines = [GOOD, block(1, 9, "A", contig="chrEBV")]
    code, message = add(folder, lines)
    assert code == 3 and "found chrEBV, which the reference lacks" in message
    advice = re.search(r"cohort\.(ignore_contigs: \[[^]]+\])", message)
    assert advice
    configure(folder, advice[1])
    assert add(folder, lines)[0] == 0


def test_a_contig_gets_its_name_as_the_message_says(folder: Path) -> None:
    lines = [line(10, "C", "T", "0/1:40:22:11,11:45,0,42", contig="1")]
    code, message = add(folder, lines, contigs={"1": len(BASES)})
    assert code == 3
    advice = re.search(r"cohort\.(contig_aliases: \{[^}]+\})", message)
    assert advice and advice[1] == 'contig_aliases: {"1": "chr1"}'
    configure(folder, advice[1])
    assert add(folder, lines, contigs={"1": len(BASES)})[0] == 0


def test_a_prefix_leaves_out_contigs_and_never_one_of_the_reference(folder: Path) -> None:
    configure(folder, "ignore_contigs: ['chr*']")
    assert add(folder, [GOOD, block(1, 9, "A", contig="chrUn_1"), block(1, 9, "A", contig="chrUn_2")])[0] == 0
    query = ("query", "--cohort", folder / "store", "--format", "csv", "--sql", "SELECT contig, pos FROM sites")
    assert baekman(*query).stdout.splitlines()[1:] == ['"chr1",10']


def test_contradictions_are_allowed_as_the_message_says(folder: Path) -> None:
    configure(folder, "max_contradicting: 2")
    lines = [line(10 + n, BASES[9 + n], "N", "0/1:40:22:11,11:45,0", contig="chr1") for n in range(3)]
    code, message = add(folder, lines)
    assert code == 3
    advice = re.search(r"set cohort\.max_contradicting in the configuration to (\d+) or more", message)
    assert advice
    configure(folder, f"max_contradicting: {advice[1]}")
    assert add(folder, lines)[0] == 0


def test_an_alias_the_wrong_way_round_is_turned_as_the_message_says(folder: Path) -> None:
    lines = [line(10, "C", "T", "0/1:40:22:11,11:45,0,42", contig="1")]
    configure(folder, 'contig_aliases: {chr1: "1"}')
    code, message = add(folder, lines, contigs={"1": len(BASES)})
    assert code == 3
    advice = re.search(r"write (1: chr1)$", message.splitlines()[0])
    assert advice
    configure(folder, f"contig_aliases: {{{advice[1]}}}")
    assert add(folder, lines, contigs={"1": len(BASES)})[0] == 0


@pytest.mark.parametrize(
    ("aliases", "lines", "found"),
    [
        ("{'1': chr9}", [GOOD], "alias 1: expected the name of a contig of the reference, found 'chr9'"),
        ("{chr2: chr1}", [GOOD], "alias chr2: expected a name that no contig of the reference has"),
        (
            "{'1': chr1, c1: chr1}",
            [GOOD.replace("chr1\t", "1\t"), block(20, 30, BASES[19], contig="c1")],
            "expected each contig under one name, found c1, an alias of chr1, after records of chr1 under another name",
        ),
        (
            "{'1': chr1}",
            [GOOD, block(20, 30, BASES[19], contig="1")],
            "expected each contig under one name, found 1, an alias of chr1, after records of chr1 under another name",
        ),
    ],
)
def test_aliases_that_cannot_hold_are_refused(folder: Path, aliases: str, lines: list[str], found: str) -> None:
    configure(folder, f"contig_aliases: {aliases}")
    code, message = add(folder, lines)
    assert code == 3 and found in message


def test_a_contig_of_the_reference_is_not_ignored(folder: Path) -> None:
    configure(folder, "ignore_contigs: [chr2]")
    code, message = add(folder, [GOOD])
    assert code == 3
    assert (
        "entry chr2: expected the name of a contig that the reference lacks, found a contig of the reference" in message
    )


def test_a_fixed_setting_is_refused_with_both_values_and_set_back_as_the_message_says(folder: Path) -> None:
    configure(folder, "min_gq: 30")
    code, message = add(folder, [GOOD])
    assert code == 3
    assert message == (
        "refused: configuration: cohort.min_gq: expected 20, as the cohort was made with, found 30; "
        "it is fixed for the life of a cohort: set it back, or make a new cohort with it\n"
    )
    configure(folder, "min_gq: 20")
    assert add(folder, [GOOD])[0] == 0
    assert open_store(folder / "store").thresholds.min_gq == 20


def test_another_reference_of_the_same_name_is_refused(folder: Path) -> None:
    write_reference(folder / "ref.fa", {**CONTIGS, "chr2": BASES[:-1] + "N"})
    code, message = add(folder, [GOOD])
    assert code == 3
    m5s = re.findall(rf"contig chr2 of {len(BASES)} bases with M5 ([0-9a-f]{{32}})", message)
    assert len(set(m5s)) == 2


def test_site_filters_are_those_of_the_snapshot_that_a_batch_makes(folder: Path) -> None:
    assert add(folder, [GOOD], batch="b1")[0] == 0
    (folder / "config.yaml").write_text("reference: ref.fa\nsites: {low_qual: 99}\n")
    code, message = add(folder, [GOOD], batch="b1")
    assert (code, message) == (
        0,
        "note: sites.low_qual: snapshot 1 has 30; the configuration's 99 applies from the next batch\n",
    )
    snapshot = json.loads((folder / "store" / "snapshots" / "00000001.json").read_text())
    assert snapshot["filters"]["low_qual"] == 30


def test_one_content_for_two_participants_is_refused(folder: Path) -> None:
    bases = "ACGT" * 300
    baekman("cohort", "init", "--cohort", folder / "s", "--reference", write_reference(folder / "c1.fa", {"c1": bases}))
    lines = [line(4 * n + 1, "A", "G", "0/1:40:22:11,11:45,0,42") for n in range(120)]
    for name, count in (("one", 120), ("two", 120), ("few", 3), ("same", 3)):
        (folder / f"{name}.g.vcf").write_text(gvcf_text(lines[:count], contigs={"c1": len(bases)}))
    command = ("cohort", "add", "--cohort", folder / "s", "--gvcfs", folder / "list.tsv", "--batch")
    (folder / "config.yaml").unlink()
    (folder / "list.tsv").write_text("P1\tone.g.vcf\nP2\ttwo.g.vcf\n")
    done = baekman(*command, "b1", check=False)
    assert (done.returncode, done.stderr.splitlines(keepends=True)[-1]) == (
        3,
        "refused: list of gVCFs: participants P1, P2: expected a gVCF of their own for each participant, "
        "found files with the same content; find out which participant the gVCF is of, and leave the others out\n",
    )
    (folder / "list.tsv").write_text("P1\tone.g.vcf\nP3\tfew.g.vcf\nP4\tsame.g.vcf\n")
    done = baekman(*command, "b2")
    assert done.stdout == "1\n" and "note: the gVCFs of P3, P4 have the same content\n" in done.stderr


def test_a_file_that_was_compressed_again_is_the_same_content(folder: Path) -> None:
    bases = "ACGT" * 300
    baekman("cohort", "init", "--cohort", folder / "s", "--reference", write_reference(folder / "c1.fa", {"c1": bases}))
    lines = [line(4 * n + 1, "A", "G", "0/1:40:22:11,11:45,0,42") for n in range(120)]
    for name in ("S1", "S2"):
        text = gvcf_text(lines, contigs={"c1": len(bases)}, sample=name)
        (folder / f"{name}.g.vcf.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "list.tsv").write_text("P1\tS1.g.vcf.gz\nP2\tS2.g.vcf.gz\n")
    done = baekman("cohort", "add", "--cohort", folder / "s", "--gvcfs", folder / "list.tsv", "--batch", "b")
    assert done.stdout == "1\n" and "note: the gVCFs of P1, P2 have the same content\n" in done.stderr
