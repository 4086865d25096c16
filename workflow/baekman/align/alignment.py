"""Reads of one participant to one aligned CRAM, in one stream: align, fixmate, sort, mark duplicates.

The lanes are aligned one after the other into the same stream, each with its own read group, so nothing but
the sort's own spill files touches the disk. Headers and read groups hold the participant's pseudonymous ID
and no path.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from baekman.files.atomic import atomic_file
from baekman.tools import programs as tools
from baekman.workspace.specimens import StagedFiles

# what an aligner needs beside the FASTA, as endings added to its name
INDEX_ENDINGS: dict[str, tuple[str, ...]] = {
    "bwa": (".amb", ".ann", ".bwt", ".pac", ".sa"),
    "bwa-mem2": (".0123", ".amb", ".ann", ".bwt.2bit.64", ".pac"),
    "minimap2": (".mmi",),
}
# CRAM 3.0: readers in the field (htsjdk before 2024) do not know the newer codecs of 3.1
CRAM_FORMAT = "cram,version=3.0"
SORT_MEMORY = "768M"  # per thread; more is spilled to the temporary folder
# bwa takes reads in batches of so many bases; a fixed number makes the result the same for any --threads
BATCH_BASES = 100_000_000
COPY_BYTES = 1 << 20


class ToolFailed(RuntimeError):
    """A tool of the stream ended with an error; its own words are in the log."""


def index(reference: Path, *, aligner: str) -> None:
    """Write the files that ``aligner`` needs beside ``reference`` (``INDEX_ENDINGS``)."""
    if aligner == "minimap2":
        command = [*tools.command("minimap2"), "-x", "sr", "-d", f"{reference}.mmi", str(reference)]
    else:
        command = [*tools.command(aligner), "index", str(reference)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def align(
    lanes: Sequence[StagedFiles],
    *,
    reference: Path,
    output: Path,
    metrics: Path,
    aligner: str = "bwa",
    threads: int = 1,
    platform: str = "ILLUMINA",
) -> None:
    """Align the ``lanes`` of one participant and write ``output`` (coordinate-sorted CRAM) with its .crai.

    ``lanes`` are FASTQ pairs, or one BAM or CRAM whose reads are aligned again. ``metrics`` gets samtools
    markdup's counts. Raises ``ToolFailed`` when any tool fails; then neither file appears.
    """
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        stages = [
            _samtools("fixmate -u -m --no-PG - -"),
            _samtools(f"sort -u --no-PG -@ {threads} -m {SORT_MEMORY} -T", scratch / "sort", "-"),
            _samtools(
                f"markdup --no-PG -O {CRAM_FORMAT} -@ {threads} -T",
                *(scratch / "markdup", "-f", counts, "--reference", reference, "-", cram),
            ),
        ]
        _stream(
            lambda sink: _write_alignments(
                lanes, sink, reference=reference, aligner=aligner, threads=threads, platform=platform
            ),
            stages,
        )
        clean_header(cram)
        write_index(cram)
        index_of(cram).replace(index_of(output))


def accept(alignments: Path, *, reference: Path, output: Path, metrics: Path, threads: int = 1) -> None:
    """Take a delivered BAM or CRAM as it is: sorted and with its duplicates counted, not marked anew."""
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        sort = f"sort --no-PG -@ {threads} -m {SORT_MEMORY} -O {CRAM_FORMAT} -T"
        _run(_samtools(sort, scratch / "sort", "--reference", reference, "-o", cram, alignments))
        flagstat = subprocess.run(_samtools("flagstat", cram), check=True, capture_output=True)
        counts.write_bytes(flagstat.stdout)
        clean_header(cram)
        write_index(cram)
        index_of(cram).replace(index_of(output))


def write_index(cram: Path) -> None:
    """Write ``<cram>.crai``."""
    _run(_samtools("index", cram, index_of(cram)))


def index_of(cram: Path) -> Path:
    """Where the index of ``cram`` lies."""
    return cram.with_name(cram.name + ".crai")


def read_group(participant: str, lane: str, platform: str) -> str:
    """The @RG line of a lane, tabs written ``\\t`` as aligners want; it holds the pseudonymous ID only."""
    fields = (f"ID:{participant}.{lane}", f"SM:{participant}", f"LB:{participant}", f"PL:{platform}")
    return "\\t".join(("@RG", *fields, f"PU:{participant}.{lane}"))


def clean_header(cram: Path) -> None:
    """Take every path and command line out of the header of ``cram``, in place (it only gets shorter).

    htslib writes the reference's path into @SQ (UR), tools write their command lines into @PG (CL).
    """
    header = subprocess.run(_samtools("view -H --no-PG", cram), check=True, capture_output=True).stdout
    with _scratch() as scratch:
        cleaned = scratch / "header.sam"
        kept = (clean_header_line(line) for line in header.decode().splitlines())
        cleaned.write_text("".join(f"{line}\n" for line in kept if line))
        _run(_samtools("reheader --no-PG -i", cleaned, cram))


def clean_header_line(line: str) -> str:
    """``line`` without the fields UR and CL; "" for a comment."""
    if line.startswith("@CO"):
        return ""
    return "\t".join(field for field in line.split("\t") if not field.startswith(("UR:", "CL:")))


def _write_alignments(
    lanes: Sequence[StagedFiles],
    sink: IO[bytes],
    *,
    reference: Path,
    aligner: str,
    threads: int,
    platform: str,
) -> None:
    """Align each lane in turn into one SAM stream: one header with every read group, then the records."""
    groups = [read_group(lane.participant_id, lane.lane, platform) for lane in lanes]
    for number, (lane, group) in enumerate(zip(lanes, groups, strict=True)):
        with _aligner(lane, group, reference=reference, aligner=aligner, threads=threads) as records:
            header, first_record = _split_header(records)
            if number == 0:
                others = [other.encode().replace(b"\\t", b"\t") + b"\n" for other in groups[1:]]
                sink.writelines([*header, *others])
            sink.write(first_record)
            shutil.copyfileobj(records, sink, COPY_BYTES)


def _split_header(stream: IO[bytes]) -> tuple[list[bytes], bytes]:
    """The header lines of a SAM stream, and its first record (b"" when it has none)."""
    header: list[bytes] = []
    for line in iter(stream.readline, b""):
        if not line.startswith(b"@"):
            return header, line
        header.append(line)
    return header, b""


@contextmanager
def _aligner(lane: StagedFiles, group: str, *, reference: Path, aligner: str, threads: int) -> Iterator[IO[bytes]]:
    """Run the aligner on one lane; yield its SAM. Raises ``ToolFailed`` when it, or what feeds it, fails."""
    if lane.entry == "fastq":
        command = _aligner_command(aligner, reference, group, threads, [str(f) for f in lane.files])
        with _running([command]) as records:
            yield records
        return
    with _scratch() as scratch:
        # names together, then back to reads; what lost its mate stays in the stream as a single read
        collate = _samtools(
            f"collate -u -O --no-PG -@ {threads} -T",
            *(scratch / "collate", "--reference", reference, lane.file_1),
        )
        fastq = _samtools("fastq -n -F 0x900 -")
        command = _aligner_command(aligner, reference, group, threads, ["-"])
        with _running([collate, fastq, command]) as records:
            yield records


def _aligner_command(aligner: str, reference: Path, group: str, threads: int, reads: Sequence[str]) -> list[str]:
    """The command that aligns ``reads`` (two files, or one interleaved with single reads among the pairs)."""
    if aligner == "minimap2":
        # an index would bake in the preset: -x sr on both sides
        command = [*tools.command("minimap2"), "-a", "-x", "sr", "-Y", "-t", str(threads), "-R", group]
        return [*command, f"{reference}.mmi", *reads]
    smart_pairing = ["-p"] if len(reads) == 1 else []
    command = [*tools.command(aligner), "mem", "-Y", "-K", str(BATCH_BASES), "-t", str(threads), "-R", group]
    return [*command, *smart_pairing, str(reference), *reads]


@contextmanager
def _running(commands: Sequence[Sequence[str]], stdin: int | None = None) -> Iterator[IO[bytes]]:
    """Run ``commands`` as one pipe and yield the last one's stdout; every exit code is looked at."""
    processes: list[subprocess.Popen[bytes]] = []
    feed: int | IO[bytes] = subprocess.DEVNULL if stdin is None else stdin
    for command in commands:
        process = subprocess.Popen(command, stdin=feed, stdout=subprocess.PIPE)
        if processes:
            _stdout(processes[-1]).close()  # only the next process holds it: it sees the end, or a broken pipe
        processes.append(process)
        feed = _stdout(process)
    try:
        yield _stdout(processes[-1])
    except BaseException:
        _end(processes)
        raise
    _stdout(processes[-1]).close()
    _check(processes)


def _stream(write: Callable[[IO[bytes]], None], stages: Sequence[Sequence[str]]) -> None:
    """Let ``write`` fill the first of ``stages``, piped one into the next; raise when anything fails."""
    head = subprocess.Popen(stages[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    processes = [head]
    for command in stages[1:]:
        before = _stdout(processes[-1])
        last = command is stages[-1]
        stdout = subprocess.DEVNULL if last else subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=before, stdout=stdout))
        before.close()
    sink = head.stdin
    assert sink is not None
    failures: list[BaseException] = []

    def fill() -> None:
        try:
            write(sink)
            sink.close()
        except BaseException as failure:
            # the stages must not take a stream that was cut for a whole one
            failures.append(failure)
            _end(processes)

    writer = threading.Thread(target=fill)
    writer.start()
    for process in processes:
        process.wait()
    writer.join()
    try:
        _check(processes)
    except ToolFailed:
        # the aligner's own failure is the cause of what the stages say
        if failures and isinstance(failures[0], ToolFailed):
            raise failures[0] from None
        raise
    if failures:
        raise failures[0]


def _samtools(words: str, *files: Path | str) -> list[str]:
    """A samtools command: ``words`` are split at blanks, ``files`` are not."""
    return [*tools.command("samtools"), *words.split(), *map(str, files)]


def _stdout(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _check(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.wait() != 0:
            raise ToolFailed(f"{_name(process)} ended with {process.returncode}")


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
    for process in processes:
        process.wait()


def _name(process: subprocess.Popen[bytes]) -> str:
    """``samtools sort`` of a command, without its files."""
    words = [Path(word).name for word in process.args if isinstance(word, str)]  # type: ignore[union-attr]
    known = [word for word in words if word in (*tools.BUNDLED, "bwa", "bwa-mem2", "minimap2")]
    tool = known[0] if known else words[0]
    return " ".join(words[words.index(tool) : words.index(tool) + 2])


def _run(command: Sequence[str]) -> None:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _check([process])


@contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary folder (``TMPDIR``), gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="baekman-") as folder:
        yield Path(folder)
