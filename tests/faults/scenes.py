"""The scenes of the faults: a place before a command, the command, and what it leaves when nothing disturbs it.

A scene is made once per session and copied for each fault. What it leaves is compared byte by byte, without locks,
clocks and logs, which differ between any two runs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from baekman.registry.importing import import_registrations
from baekman.registry.records import open_registry
from support import PROJECT, delivery_builder
from support.finished_workspace import BASES, HEADER, finished_workspace, write
from support.store_tools import block, gvcf_text, line

BIN = Path(sys.executable).parent
LATER = 6  # participants that the command of the scene ``add`` adds
RECORDS = 400  # of each of their gVCFs


@dataclass(frozen=True)
class Scene:
    """A command in a place."""

    name: str
    origin: Path
    words: tuple[str, ...]
    input: str  # the file below the place that the command reads
    stored: tuple[str, ...]  # what it writes: folders and files below the place
    check: tuple[str, ...]  # a command that reads the last snapshot whole
    environment: dict[str, str] = field(default_factory=dict)
    rooms: tuple[int, ...] = (8192, 32768, 65536, 131072)  # free bytes of a disk that fills up during the command

    def place(self, folder: Path) -> Path:
        """Copy the scene into ``folder``."""
        shutil.copytree(self.origin, folder, symlinks=True, dirs_exist_ok=True)
        return folder

    def start(self, place: Path, *, before: Callable[[], None] | None = None, **more: str) -> subprocess.Popen[str]:
        """Start the command in ``place``, as the leader of a group of processes; ``before`` runs in it first."""

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background of a shell ignore Ctrl-C
            if before is not None:
                before()

        return subprocess.Popen(
            [str(BIN / "baekman"), *self.words],
            cwd=place,
            env=environment() | self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )

    def run(self, place: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command in ``place``."""
        process = self.start(place, **more)
        output, _ = process.communicate(timeout=600)
        return subprocess.CompletedProcess(self.words, process.returncode, output, "")

    def is_whole(self, place: Path) -> str:
        """Return the output of the command that reads the last snapshot; raise AssertionError when it fails."""
        done = subprocess.run(
            [str(BIN / "baekman"), *self.check],
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def outcome(self, place: Path) -> dict[str, str]:
        """Return what the command leaves: the digest of each file that it writes, by path."""
        found = {}
        for top in self.stored:
            for path in sorted([place / top, *(place / top).rglob("*")]):
                name = path.relative_to(place).as_posix()
                if path.is_file() and not name.endswith(UNLIKE):
                    found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        if self.name == "import":
            found["the registry"] = registered(place)
        return found


# these hold the times of inputs (``inputs`` and what lists its digest) or depend on the order of writing (the index)
UNLIKE = (".lock", "participants.sqlite", "/inputs", "batches/later/hashes.json", "snapshots/00000002.json")


def environment() -> dict[str, str]:
    """Return the environment of a command, without settings of baekman."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BAEKMAN_")}
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}"}


def registered(place: Path) -> str:
    """Return the consent of each imported specimen's participant; the IDs are random, and all differ."""
    registry = open_registry(place / "w")
    records = [registry.specimen("H", f"C-{number:04d}") for number in range(IMPORTED)]
    ids = [record.participant_id for record in records if record]
    assert len(ids) == len(set(ids))
    return json.dumps([registry.active_consent(participant).value for participant in ids])


def gvcf(path: Path, participant: str, number: int) -> None:
    """Write a gVCF with a variant at every fourth base, and blocks between them."""
    draw, lines = random.Random(number), []
    for pos in range(4, 4 * RECORDS, 4):
        alt = "ACGT"["ACGT".index(BASES[pos - 1]) ^ draw.choice((1, 2, 3))]
        reads = draw.randint(8, 30)
        lines.append(
            line(pos, BASES[pos - 1], f"{alt},<NON_REF>", f"0/1:60:{2 * reads}:{reads},{reads},0:400,0,400,450,450,800")
        )
        lines.append(block(pos + 1, pos + 3, BASES[pos], gq=draw.randint(20, 90)))
    write(path, gzip.compress(gvcf_text(lines, contigs={"c1": len(BASES)}, sample=participant).encode(), mtime=0))


IMPORTED = 400
ROW = "H\t{barcode}\tSUBJ-{number}\trare\tfemale\tgranted\t2025-01-01\tName {number}\n"


def origin(folder: Path) -> Path:
    """Make the place of the scenes of a small cohort: a finished workspace, gVCFs to add and rows to import."""
    workspace = finished_workspace(folder)
    rows = [ROW.format(barcode=f"B-1{n:03d}", number=f"1{n:03d}") for n in range(LATER)]
    write(folder / "later.tsv", HEADER + "".join(rows))
    import_registrations(workspace.opened_registry, [folder / "later.tsv"])
    records = [record for n in range(LATER) if (record := workspace.opened_registry.specimen("H", f"B-1{n:03d}"))]
    listed = []
    for number, record in enumerate(records):
        gvcf(folder / "gvcfs" / f"{number}.g.vcf.gz", record.participant_id, number)
        listed.append(f"{record.participant_id}\tgvcfs/{number}.g.vcf.gz\tfemale\n")
    write(folder / "list.tsv", "".join(listed))
    rows = [ROW.format(barcode=f"C-{n:04d}", number=f"2{n:04d}") for n in range(IMPORTED)]
    write(folder / "import.tsv", HEADER + "".join(rows))
    write(folder / "leaver", workspace.participant_ids[1])
    return folder


def scenes(folder: Path) -> dict[str, Scene]:
    """Make every scene of a small cohort."""
    place = origin(folder)
    leaver = (place / "leaver").read_text()
    whole = ("cohort", "verify", "--cohort", "w/cohort")
    made = (
        Scene(
            "add",
            place,
            ("cohort", "add", "--cohort", "w/cohort", "--batch", "later", "--gvcfs", "list.tsv"),
            input="gvcfs/3.g.vcf.gz",
            stored=("w/cohort",),
            check=whole,
        ),
        Scene(
            "tables",
            place,
            ("tables", "--cohort", "w/cohort", "--output", "tables"),
            input="w/cohort/batches",
            stored=("tables",),
            check=whole,
        ),
        Scene(
            "withdraw",
            place,
            ("withdraw", leaver, "--workspace", "w"),
            input="",
            stored=("w/cohort", "w/tables", "w/participants", "w/deliveries", "w/withdrawn"),
            check=whole,
        ),
        Scene(
            "import",
            place,
            ("registry", "import", "import.tsv", "--workspace", "w"),
            input="import.tsv",
            stored=(),
            check=("registry", "show", "--workspace", "w"),
        ),
    )
    return {scene.name: scene for scene in made}


def delivery(folder: Path) -> Scene:
    """Make the scene ``deliver``: reads as FASTQ and BAM, and a gVCF, of three participants."""
    reference = delivery_builder.write_reference(folder / "reference")
    builder = delivery_builder.DeliveryBuilder(folder / "inbox", reference)
    builder.pair("HB-0001", seed=3)
    delivery_builder.write_alignment(builder.folder / "2.bam", reference, sample="HB-0002", seed=4)
    builder.add("HB-0002", "2.bam", "bam")
    delivery_builder.write_gvcf(builder.folder / "3.g.vcf.gz", delivery_builder.gvcf_text(reference, sample="HB-0003"))
    builder.add("HB-0003", "3.g.vcf.gz", "gvcf")
    builder.finish()
    rows = [delivery_builder.registration(f"HB-000{number}", number) for number in (1, 2, 3)]
    more = "aligned_input: accept\ngates: {intake: enforce, qc: report}\n"
    delivery_builder.make_workspace(folder / "w", reference, rows, more=more)
    return Scene(
        "deliver",
        folder,
        ("deliver", "inbox", "--workspace", "w"),
        input="inbox/2.bam",
        stored=("w/tables/variants", "w/tables/reference"),
        check=("status", "--workspace", "w"),
    )


def demo(folder: Path) -> Scene:
    """Make the scene ``demo``: the first delivery of ``make demo``, 15 specimens of which 8 do not pass a gate."""
    genome, workspace = folder / "genome", folder / "w"
    script = PROJECT / "scripts" / "make_test_genome.py"
    subprocess.run([sys.executable, script, "--output", genome], check=True, capture_output=True)
    for unused in ("deliveries/second", "records"):
        shutil.rmtree(genome / unused)
    settings = (genome / "demo_config.yaml").read_text(encoding="utf-8")
    write(workspace / "config.yaml", re.sub(r": (\w+\.[a-z.]+)$", r": ../genome/\1", settings, flags=re.MULTILINE))
    for words in (("init",), ("import", genome / "registration.tsv")):
        subprocess.run([BIN / "baekman", "registry", *words, "--workspace", workspace], check=True, capture_output=True)
    return Scene(
        "demo",
        folder,
        ("deliver", "genome/deliveries/first", "--workspace", "w"),
        input="genome/deliveries/first/aligned/HB25-20541-G.cram",
        stored=("w/tables/variants", "w/tables/reference"),
        check=("status", "--workspace", "w"),
        rooms=(1 << 20, 8 << 20, 17 << 20, 24 << 20),
    )
