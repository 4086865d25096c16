"""The checks of ``baekman doctor``: tools, reference, disk, cluster, keys and workspace, one line each.

No key is read, and no line has a confidential value. Every wait has an end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from baekman import audit
from baekman.align.aligners import INDEX_ENDINGS
from baekman.config.loading import load_config
from baekman.engine import slurm
from baekman.engine.scheduler_address import SLURM, scheduler_address
from baekman.errors import DamagedFile, InputRefused
from baekman.files.sidecar import read_checked
from baekman.tools.programs import VERSION_ARGUMENTS
from baekman.workspace.identity import id_of
from baekman.workspace.paths import Workspace

WAIT_SECONDS = 10.0  # for an answer of a tool, of Slurm or of Dask
LEAST_FREE = 10_000_000_000  # bytes, where no delivery says more
SPACE_FACTOR = 2  # staged copy and alignment of a delivered byte
PACKAGES = ("snakemake", "pysam", "pyarrow", "multiqc")
CALLERS = {"freebayes": "freebayes", "gatk": "gatk", "deepvariant": "run_deepvariant"}
INSTALL = "install it: `make tools`, or envs/apt.txt, or `--sdm conda`"
_VERSION = re.compile(r"\d+(?:\.\d+)+\S*")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line: the ``name`` of what was checked, whether it ``is_good``, what was found, and what to do.

    ``is_note``: a fault that stops nothing, as nothing asks for it.
    """

    name: str
    is_good: bool
    found: str
    remedy: str = ""
    is_note: bool = False

    def to_json(self) -> dict[str, str]:
        """Return the values of ``doctor --json``."""
        state = "bad" if not self.is_good else "note" if self.is_note else "ok"
        return {"check": self.name, "state": state, "found": self.found, "remedy": self.remedy}

    def __str__(self) -> str:
        word = "BAD" if not self.is_good else "note" if self.is_note else "ok"
        line = f"{word:<4} {self.name}: {self.found}"
        return f"{line}; {self.remedy}" if self.remedy and not self.is_good else line


def checks(
    workspace: Workspace, *, config: Path | None = None, following: Path | None = None, executor: str = ""
) -> Iterator[Check]:
    """Yield the checks of ``workspace`` with its configuration ``config``.

    ``following`` is the folder of the next delivery, which says how much disk is needed. ``executor`` is that of the
    profile with which deliveries run.
    """
    settings: dict[str, Any] = {}
    try:
        settings = load_config(workspace.root, file=config)
        yield Check(name="configuration", is_good=True, found="can be read")
    except InputRefused as refusal:
        for problem in refusal.problems:
            yield Check(name="configuration", is_good=False, found=str(problem))
    yield from _packages()
    yield from _tools(settings)
    if settings:
        yield from _reference(workspace, settings)
    yield _disk(workspace, following)
    yield from _slurm(executor)
    yield from _dask()
    yield from _keys(workspace)
    yield from _modes(workspace)
    yield _identity(workspace)
    yield _audit_log(workspace)


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name=name, is_good=True, found=version(name))
        except PackageNotFoundError:
            yield Check(name=name, is_good=False, found="is not installed", remedy="pip install baekman")


def _tools(settings: Mapping[str, Any]) -> Iterator[Check]:
    """Yield a check for each tool that the settings need; those of pysam come with it."""
    needed = [settings.get("aligner", "bwa"), "mosdepth"]
    if settings.get("caller") in CALLERS:
        needed.append(CALLERS[settings["caller"]])
    for tool in needed:
        path = shutil.which(tool)
        if path is None:
            yield Check(name=tool, is_good=False, found="is not on PATH", remedy=INSTALL)
            continue
        answer = _ask([path, *VERSION_ARGUMENTS.get(tool, ("--version",))])
        number = _VERSION.search(answer or "")
        found = number.group() if number else "gives no version"
        yield Check(name=tool, is_good=answer is not None, found=found, remedy=INSTALL)


def _reference(workspace: Workspace, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Yield the checks of the reference and its index for the aligner, which the first delivery makes."""
    is_readable = os.access(settings["reference"], os.R_OK)
    found, remedy = "can be read" if is_readable else "may not be read", "give the user who runs this access to it"
    yield Check(name="reference", is_good=is_readable, found=found, remedy=remedy)
    place = workspace.reference / f"{settings['reference_name']}.fa"
    endings = INDEX_ENDINGS[settings["aligner"]]
    missing = [ending for ending in endings if not place.with_name(place.name + ending).is_file()]
    name = f"index for {settings['aligner']}"
    if not missing:
        yield Check(name=name, is_good=True, found="is there")
    elif len(missing) == len(endings):
        yield Check(name=name, is_good=True, found="is made by the first delivery of reads")
    else:
        yield Check(name=name, is_good=False, found="is incomplete", remedy="delete it; the next delivery makes it")


def _disk(workspace: Workspace, following: Path | None) -> Check:
    free = shutil.disk_usage(workspace.root).free
    largest = _bytes_below(following) if following else _largest_delivery(workspace)
    needed = max(LEAST_FREE, SPACE_FACTOR * largest)
    source = "the next delivery" if following else "a delivery like the largest so far" if largest else "any delivery"
    return Check(
        name="disk",
        is_good=free >= needed,
        found=f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed for {source}",
        remedy="make room, or move the workspace to a larger disk",
    )


def _bytes_below(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def _largest_delivery(workspace: Workspace) -> int:
    """Return the bytes of the largest delivery that was received, by intake's list of its files."""
    largest = 0
    for file in workspace.deliveries.glob("D*/inputs.json"):
        try:
            entries = json.loads(read_checked(file)).values()
            largest = max(largest, sum(entry["fingerprint"][0] for entry in entries))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
    return largest


def _slurm(executor: str) -> Iterator[Check]:
    """Yield the checks of Slurm: a fault is bad where ``executor`` or ``BAEKMAN_SCHEDULER`` asks for it."""
    by_profile = executor in slurm.EXECUTORS
    is_wanted = by_profile or os.environ.get("BAEKMAN_SCHEDULER", "").startswith("slurm:")
    rest = "" if is_wanted else "; only --profile slurm needs it"
    missing = [command for command in slurm.COMMANDS if shutil.which(command) is None]
    if missing:
        found = "is not installed here" if len(missing) == len(slurm.COMMANDS) else f"lacks {', '.join(missing)}"
        remedy = "run it on a machine that submits jobs"
        yield Check(name="Slurm", is_good=not is_wanted, found=found + rest, remedy=remedy)
    else:
        try:
            slurm.run(["sinfo", "--noheader"], seconds=WAIT_SECONDS)
            yield Check(name="Slurm", is_good=True, found="answers")
        except slurm.NoAnswerError as error:
            remedy = "see `sinfo` and `scontrol ping`"
            found = f"gives no answer ({error}){rest}"
            yield Check(name="Slurm", is_good=not is_wanted, is_note=not is_wanted, found=found, remedy=remedy)
    if by_profile or not missing:
        has_plugin = find_spec(slurm.PLUGIN) is not None
        found = "is installed" if has_plugin else "is not installed" + ("" if by_profile else rest)
        is_good = has_plugin or not by_profile
        yield Check(name="Slurm plugin", is_good=is_good, is_note=not has_plugin, found=found, remedy=slurm.INSTALL)


def _dask() -> Iterator[Check]:
    """Yield the check of the Dask scheduler in ``BAEKMAN_SCHEDULER``, if there is one."""
    scheduler = os.environ.get("BAEKMAN_SCHEDULER", "")
    if not scheduler:
        return
    try:
        address = scheduler_address(scheduler, insecure=bool(os.environ.get("BAEKMAN_INSECURE")))
    except InputRefused as refusal:
        yield Check(name="Dask", is_good=False, found=str(refusal.problems[0]))
        return
    if SLURM.fullmatch(address):
        has_sbatch = shutil.which("sbatch") is not None
        found = "workers by Slurm" if has_sbatch else "workers by Slurm, but no sbatch on PATH"
        yield Check(name="Dask", is_good=has_sbatch, found=found, remedy="run it where Slurm's commands are")
        return
    host, _, port = address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=WAIT_SECONDS).close()
        yield Check(name="Dask", is_good=True, found="the scheduler can be reached")
    except (OSError, ValueError):
        remedy = "start it, or correct BAEKMAN_SCHEDULER"
        yield Check(name="Dask", is_good=False, found="the scheduler cannot be reached", remedy=remedy)


def _keys(workspace: Workspace) -> Iterator[Check]:
    """Yield the check of each key file's mode; no key is opened."""
    files = {
        "registry key": ("BAEKMAN_REGISTRY_KEY", workspace.registry / "registry.key"),
        "master key of tables": ("BAEKMAN_TABLES_KEY", workspace.table_keys / "master.key"),
        "Crypt4GH key": ("BAEKMAN_CRYPT4GH_KEY", None),
    }
    for name, (variable, default) in files.items():
        value = os.environ.get(variable, "").strip()
        file = Path(value) if value else default
        if value and not os.path.lexists(value):
            yield Check(name=name, is_good=True, found=f"{variable} has a key, or a path that is not there")
        elif file is not None and os.path.lexists(file):
            mode = file.stat().st_mode if file.exists() else 0
            is_private = stat.S_ISREG(mode) and not mode & 0o177
            found = f"mode {stat.S_IMODE(mode):04o}" if stat.S_ISREG(mode) else "is no regular file"
            yield Check(name=name, is_good=is_private, found=found, remedy="chmod 600 the key file")
        elif name == "registry key" and workspace.registry.is_dir():
            found = "is not in the registry's folder; give it by --key-file or BAEKMAN_REGISTRY_KEY"
            yield Check(name=name, is_good=True, found=found)


def _modes(workspace: Workspace) -> Iterator[Check]:
    """Yield the checks of the folders that not everybody may use."""
    for name, folder, forbidden, remedy in (
        ("workspace", workspace.root, 0o002, "chmod o-w the workspace"),
        ("registry folder", workspace.registry, 0o007, "chmod 700 the registry's folder"),
        ("return reports", workspace.returned, 0o007, "chmod 700 the folder `return`"),
        ("keys of tables", workspace.table_keys, 0o007, "chmod 700 the folder `table_keys`"),
    ):
        if folder.is_dir():
            mode = stat.S_IMODE(folder.stat().st_mode)
            yield Check(name=name, is_good=not mode & forbidden, found=f"mode {mode:04o}", remedy=remedy)
    is_writable = os.access(workspace.root, os.W_OK | os.X_OK)
    found = "may be written" if is_writable else "may not be written by this user"
    yield Check(name="access", is_good=is_writable, found=found, remedy="give the user who runs deliveries access")


def _identity(workspace: Workspace) -> Check:
    try:
        identity = id_of(workspace.root)
    except InputRefused as refusal:
        return Check(name="workspace ID", is_good=False, found=str(refusal.problems[0]))
    return Check(
        name="workspace ID",
        is_good=bool(identity),
        found=identity or "none",
        remedy="`baekman registry show --workspace W` makes one",
    )


def _audit_log(workspace: Workspace) -> Check:
    try:
        audit.require_whole(workspace.root)
        newest = audit.newest(workspace.root)
    except InputRefused as refusal:
        return Check(name="audit log", is_good=False, found=str(refusal.problems[0]))
    except (DamagedFile, OSError, ValueError):
        remedy = "`baekman audit verify --workspace W`"
        return Check(name="audit log", is_good=False, found="cannot be read", remedy=remedy)
    found = f"whole to its head, event {newest['sequence']}" if newest else "no event yet"
    return Check(name="audit log", is_good=True, found=found)


def _ask(command: list[str]) -> str | None:
    """Return what ``command`` prints; None when it fails to start or gives no answer in time.

    An exit code counts only for Slurm, as bwa prints its version with exit code 1.
    """
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=WAIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if command[-1] == "-h" and answer.returncode:
        return None
    return answer.stdout + answer.stderr
