"""Every command survives every fault: the last snapshot is whole, the message helps, the same command finishes.

``BAEKMAN_FAULTS=full`` runs each fault on each scene, with 50 kills, and writes the table of ``docs/reliability.md``;
``make faults`` sets it. It takes hours: the end of each run that passes is kept in ``.faults``, and the same command
goes on after the runs that this code has. Without it a sample runs. ``BAEKMAN_KILLS`` sets another number of kills; no
other fault is repeated more often. ``BAEKMAN_FAULTS=demo,add`` runs these scenes only, and writes their rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import pytest
from baekman.files import atomic
from faults import disturbances, scenes
from faults.disturbances import Circumstances, Disturbance, Ending
from faults.scenes import Scene
from support import PROJECT

CHOSEN = os.environ.get("BAEKMAN_FAULTS", "")
IS_FULL = bool(CHOSEN)
KILLS = int(os.environ.get("BAEKMAN_KILLS", "50"))
PAGE = PROJECT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"

ALL = ("add", "tables", "withdraw", "import", "deliver", "demo")
SMALL = ALL[:4]
DELIVERIES = ALL[4:]
AGAIN = "run the same command again"


@dataclass(frozen=True)
class Fault:
    """A disturbance, its name on the page, the scenes that it meets, and the words that the user has to see."""

    title: str
    disturb: Disturbance
    scenes: tuple[str, ...]
    words: str  # an expression for the output where the command fails; "" where nobody can print
    sample: tuple[str, ...]
    times: int = 1
    shown: str = ""  # an expression for each line that the page shows; "" for the last line with ``words``


FAULTS = (
    Fault("SIGKILL at a random moment", disturbances.killed, ALL, "", SMALL, times=KILLS),
    Fault("SIGTERM at a random moment", disturbances.terminated, ALL, AGAIN, ("withdraw",), times=5),
    Fault("full disk", disturbances.full_disk, ALL, f"(make room|No space left).*{AGAIN}|FULL", ("add",), times=4),
    Fault(
        "read-only output",
        disturbances.read_only,
        ALL,
        "(Read-only|READONLY|CANTOPEN).*give the user|may write",
        ("import",),
    ),
    Fault(
        "input vanishes",
        disturbances.input_vanishes,
        ("add", "import", *DELIVERIES),
        "refused|failed",
        ("add",),
        times=4,
    ),
    Fault(
        "input changes", disturbances.input_changes, ("add", "import", *DELIVERIES), "refused|failed", ("add",), times=4
    ),
    Fault("a file system without locks", disturbances.no_locks, ALL, "support locks", ("tables",)),
    Fault("clock set back", disturbances.clock_set_back, ALL, "set the clock", ("withdraw",)),
    Fault("too little memory", disturbances.little_memory, SMALL, "give the command more", ("add",), times=5),
    Fault("two writers", disturbances.two_writers, ALL, AGAIN, ("add",)),
    Fault("a worker is killed", disturbances.worker_killed, ("add", "tables"), "worker", ("add",)),
    Fault(
        "a tool is missing",
        disturbances.tool_is_missing,
        DELIVERIES,
        "mosdepth.*baekman doctor.*run the same command again",
        (),
        shown="command not found|baekman doctor",
    ),
    Fault(
        "a tool exits with an error",
        disturbances.tool_fails,
        DELIVERIES,
        "cannot go on.*mend the cause and run the same command again",
        (),
        shown="^failed: |cannot go on|mend the cause",
    ),
    Fault("a tool writes half its output", disturbances.tool_writes_half, DELIVERIES, "reads_lost", ()),
    Fault("a tool hangs, Ctrl-C", disturbances.tool_hangs, DELIVERIES, AGAIN, ()),
)
"""In the order of the page."""


@dataclass
class Ground:
    """The scenes of the session, each with what it leaves undisturbed and its seconds."""

    folder: Path
    library: Path
    scenes: dict[str, Scene]
    undisturbed: dict[str, tuple[dict[str, str], float]] = field(default_factory=dict)

    def expected(self, scene: Scene) -> tuple[dict[str, str], float]:
        """Return what ``scene`` leaves undisturbed, and the seconds that it takes."""
        if scene.name not in self.undisturbed:
            place = scene.place(self.folder / f"{scene.name}.undisturbed")
            started = time.monotonic()
            done = scene.run(place)
            assert done.returncode == 0, done.stdout
            self.undisturbed[scene.name] = scene.outcome(place), time.monotonic() - started
        return self.undisturbed[scene.name]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Make the scenes; write the page's table at the end of a full run."""
    folder = tmp_path_factory.mktemp("faults")
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    made = scenes.scenes(folder / "origin")
    if "deliver" in chosen():
        made["deliver"] = scenes.delivery(folder / "delivery")
    if "demo" in chosen():
        made["demo"] = scenes.demo(folder / "demo")
    yield Ground(folder, library, made)
    if IS_FULL:
        passed = {case: kept_endings(*case) for case in cases()}
        write_table({case: row(*case, endings) for case, endings in passed.items() if len(endings) == times(*case)})


def chosen() -> tuple[str, ...]:
    """Return the scenes of this run whose faults are all run."""
    return ALL if CHOSEN == "full" else tuple(name for name in ALL if name in CHOSEN.split(","))


def cases() -> list[tuple[str, Fault]]:
    """Return the scenes and faults of this run."""
    return [
        (name, fault)
        for name in ALL
        for fault in FAULTS
        if (name in fault.scenes and name in chosen() if IS_FULL else name in fault.sample)
    ]


def times(name: str, fault: Fault) -> int:
    """Return how often a case is run; of the demo, which takes minutes, only the two signals are repeated."""
    if not IS_FULL or (name == "demo" and fault.disturb not in (disturbances.killed, disturbances.terminated)):
        return 1
    return min(fault.times, KILLS)


def in_a_row(name: str, fault: Fault) -> int:
    """Return how often one and the same run is disturbed before it may finish: the demo, which takes minutes, often."""
    return 5 if name == "demo" and fault.disturb in (disturbances.killed, disturbances.terminated) else 1


@cache
def kept_folder() -> Path:
    """Return the folder of the runs of this code."""
    code = hashlib.sha256()
    for top in ("workflow", "rules", "tests/faults"):
        for path in sorted((PROJECT / top).rglob("*")):
            if path.suffix in (".py", ".pyx", ".pxd", ".smk", ".c") and path.is_file():
                code.update(path.read_bytes())
    return PROJECT / ".faults" / code.hexdigest()[:16]


def kept(name: str, fault: Fault, number: int) -> Path:
    """Return the file of the end of one run of a case."""
    return kept_folder() / f"{name}-{fault.title}" / f"{number}.json"


def kept_endings(name: str, fault: Fault) -> list[Ending]:
    """Return the ends of the runs of a case that passed, in the order of their numbers."""
    files = (kept(name, fault, number) for number in range(times(name, fault)))
    return [Ending(**json.loads(file.read_text(encoding="utf-8"))) for file in files if file.is_file()]


def write_table(rows: dict[tuple[str, Fault], str]) -> None:
    """Write ``rows`` into the table of the page; the rows of other cases stay."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    head = "| Command | Fault | Runs | Undisturbed | Failed | The words where it failed |\n|---|---|---|---|---|---|\n"
    earlier = {tuple(line.split(" | ")[:2]): f"{line}\n" for line in table.splitlines()}
    lines = []
    for name in ALL:
        for fault in FAULTS:
            present = earlier.get((f"| `{name}`", fault.title)) if name in fault.scenes else None
            lines += filter(None, [rows.get((name, fault), present)])
    PAGE.write_text(before + BEGIN + head + "".join(lines) + END + after, encoding="utf-8")


@pytest.mark.parametrize(("name", "fault"), cases(), ids=[f"{name}-{fault.title}" for name, fault in cases()])
def test_the_same_command_finishes_after_a_fault(ground: Ground, tmp_path: Path, name: str, fault: Fault) -> None:
    numbers = [n for n in range(times(name, fault)) if not (IS_FULL and kept(name, fault, n).is_file())]
    if not numbers:
        pytest.skip("this code passed it before: its runs are in .faults")
    scene = ground.scenes[name]
    expected, seconds = ground.expected(scene)
    while numbers:
        group, numbers = numbers[: in_a_row(name, fault)], numbers[in_a_row(name, fault) :]
        place = scene.place(tmp_path / str(group[0]))
        endings: dict[int, Ending] = {}
        for number in group:
            draw = random.Random(f"{name} {fault.title} {number}")
            ending = fault.disturb(Circumstances(scene, place, seconds, draw, ground.library))
            if ending.code not in (0, -signal.SIGTERM) and fault.words:  # before the first statement it ends Python
                assert re.search(fault.words, ending.output, re.DOTALL), ending.output
                assert "Traceback" not in ending.output, ending.output
            scene.is_whole(place)
            endings[number] = ending
            if not ending.code:  # it came too late: a next one would meet a command with nothing to do
                break
        numbers = [number for number in group if number not in endings] + numbers
        done = scene.run(place)
        assert done.returncode == 0, done.stdout
        assert scene.outcome(place) == expected
        if IS_FULL:
            for number, ending in endings.items():
                atomic.write_text(kept(name, fault, number), json.dumps(asdict(ending)))
        shutil.rmtree(place)


def row(name: str, fault: Fault, endings: list[Ending]) -> str:
    """Return the row of a fault on the page."""
    failed = [ending for ending in endings if ending.code]
    if fault.shown:
        last = failed[-1].output.splitlines() if failed else []
        lines = list(dict.fromkeys(shown(line) for line in last if re.search(fault.shown, line)))
    else:
        matching = [line for end in failed for line in end.output.splitlines() if re.search(fault.words or "$^", line)]
        lines = [shown(line) for line in matching[-1:]]
    counts = f"{len(endings)} | {len(endings) - len(failed)} | {len(failed)}"
    return f"| `{name}` | {fault.title} | {counts} | {' / '.join(lines)} |\n"


def shown(line: str) -> str:
    """Return a line of a command without IDs and the folders of this run, as the page shows it."""
    words = re.sub(r"\b[PSD][0-9A-Z]{13}\b", "ID", line.strip(" |"))
    return re.sub(r"(?<![\w.])/\S+/", "…/", words).replace("|", "\\|")
