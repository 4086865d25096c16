"""samtools' statistics of one reading of a CRAM."""

from __future__ import annotations

import random
from pathlib import Path

import pysam
import pytest
from baekman.qc import alignment_statistics
from baekman.qc.alignment_statistics import Statistics, write_statistics
from baekman.qc.metrics import read_metrics_of, read_stats
from baekman.tools import programs as tools
from baekman.tools.pipes import piped


@pytest.fixture
def cram(tmp_path: Path) -> Path:
    """Write ``ref.fa`` and a CRAM of pairs: duplicates, a supplementary alignment, unmapped reads, two contigs."""
    rng = random.Random(5)
    bases = {name: "".join(rng.choices("ACGT", k=3000)) for name in ("chr1", "chr2")}
    (tmp_path / "ref.fa").write_text("".join(f">{name}\n{text}\n" for name, text in bases.items()))
    pysam.faidx(str(tmp_path / "ref.fa"))
    lines = ["@HD\tVN:1.6\tSO:coordinate", *(f"@SQ\tSN:{name}\tLN:3000" for name in bases), "@RG\tID:P1\tSM:P1"]
    for name, text in bases.items():
        for start in range(100, 2500, 20):
            flags = (0x400 if start % 100 == 0 else 0) | (0x800 if start == 500 else 0)
            quality = "".join(rng.choices("F:,", k=100))
            insert = rng.randint(200, 400)
            record = [f"{name}.{start}", str(99 | flags), name, str(start), "60", "100M", "="]
            record += [str(start + insert - 100), str(insert), text[start - 1 : start + 99], quality, "RG:Z:P1"]
            lines.append("\t".join(record))
    for number in range(7):
        lines.append(f"u.{number}\t77\t*\t0\t0\t*\t*\t0\t0\t{'A' * 100}\t{'F' * 100}\tRG:Z:P1")
    (tmp_path / "reads.sam").write_text("\n".join(lines) + "\n")
    path = tmp_path / "reads.cram"
    pysam.view("-C", "-T", str(tmp_path / "ref.fa"), "-o", str(path), str(tmp_path / "reads.sam"), catch_stdout=False)
    pysam.index(str(path))
    return path


def plain(path: Path) -> list[str]:
    """Return the lines of a tool's output, without those that hold its command line."""
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_values_are_those_of_the_tools_by_themselves_and_the_cram_is_read_once(
    cram: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, samtools = tmp_path / "ref.fa", tools.command("samtools")
    output = Statistics(stats=tmp_path / "s.txt", flagstat=tmp_path / "f.txt", idxstats=tmp_path / "i.txt")
    commands: list[list[str]] = []
    fan_out = alignment_statistics.fan_out

    def noted(source: list[str], readers: dict[Path, list[str]]) -> None:
        commands.extend([list(map(str, command)) for command in (source, *readers.values())])
        fan_out(source, readers)

    monkeypatch.setattr(alignment_statistics, "fan_out", noted)
    write_statistics(cram, reference=reference, output=output, threads=2)
    assert sum(str(cram) in command for command in commands) == 1

    alone = {
        output.stats: ["stats", "--reference", reference, "--ref-seq", reference, cram],
        output.flagstat: ["flagstat", cram],
        output.idxstats: ["idxstats", cram],
    }
    for path, words in alone.items():
        expected = tmp_path / "expected.txt"
        expected.write_bytes(piped([*samtools, *words]))
        assert plain(path) == plain(expected)
        if path == output.stats:
            assert read_metrics_of(read_stats(path)) == read_metrics_of(read_stats(expected))
            assert read_stats(path).reads == 2 * 120 + 7 - 2
