"""The cohort store on disk: its fixed description, its paths and its locks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baekman.cohort.schema import SCHEMA_VERSION
from baekman.cohort.settings import Areas, check_bands, check_rules, fixed_problems
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files import locks
from baekman.files.atomic import atomic_folder, write_text
from baekman.files.digests import crc32_of, unsealed, write_sealed
from baekman.genome.bases import plain, read_contigs, upper_sequences
from baekman.genome.contigs import Contig
from baekman.genome.regions import Region, parse_region
from baekman.genome.shards import Shard, check_tiling, format_shards, make_shards, read_shards, shards_hash
from baekman.gvcf.reader import Genome
from baekman.gvcf.thresholds import GvcfRules, Thresholds
from baekman.workspace import identity
from baekman.workspace.paths import Top, Workspace

WAITING = "waiting"
BATCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Store:
    """An existing cohort store. Open it with ``open_store``, create it with ``create_store``.

    ``par_regions``: the reference's pseudo-autosomal regions; empty where they are unknown. ``rules``: those of a batch
    that is added without a configuration. ``owner``: the ID of the workspace that the store belongs to, and ``home``
    its folder; "" and None for a bare store. ``sequence``: CRC-32 (hex) of ``reference.seq``.
    """

    path: Path
    reference: str
    contigs: tuple[Contig, ...]
    shards: tuple[Shard, ...]
    thresholds: Thresholds
    rules: GvcfRules
    par_regions: tuple[Region, ...]
    owner: str = ""
    home: Path | None = None
    sequence: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the path for a worker: the tasks of a process share one store, and the files that it has mapped."""
        status = (self.path / "store.json").stat()
        return _open_once, (self.path, status.st_ino, status.st_mtime_ns, self.home)

    @cached_property
    def genome(self) -> Genome:
        """Return the reference as one memory-mapped array, shared by all processes of a machine."""
        lengths = np.array([contig.length for contig in self.contigs], np.int64)
        return Genome(
            names=tuple(contig.name for contig in self.contigs),
            lengths=lengths,
            starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
            sequence=np.memmap(self.path / "reference.seq", np.uint8, "r"),
            aliases=dict(self.rules.aliases),
            ignored=self.rules.ignored,
            m5s=tuple(contig.m5 for contig in self.contigs),
        )

    @cached_property
    def _genomes(self) -> dict[tuple[Any, ...], Genome]:
        return {}

    def genome_by(self, rules: GvcfRules) -> Genome:
        """Return the reference with the names of ``rules``.

        All gVCFs of a batch have one object, so that what their headers have in common is checked once.
        """
        names = (*sorted(rules.aliases.items()), rules.ignored)
        if names not in self._genomes:
            self._genomes[names] = replace(self.genome, aliases=dict(rules.aliases), ignored=rules.ignored)
        return self._genomes[names]

    def require_sequence(self) -> None:
        """Raise DamagedFile unless ``reference.seq`` has the bytes that were written."""
        path = self.path / "reference.seq"
        if f"{crc32_of(path):08x}" != self.sequence:
            raise DamagedFile(path)

    @cached_property
    def shards_of(self) -> dict[str, list[int]]:
        """Return the indices of the shards of each contig, in order."""
        indices: dict[str, list[int]] = {contig.name: [] for contig in self.contigs}
        for index, shard in enumerate(self.shards):
            indices[shard.contig].append(index)
        return indices

    @cached_property
    def shard_ends(self) -> list[npt.NDArray[np.int32]]:
        """Return the 1-based inclusive ends of the shards of each contig."""
        return [
            np.array([self.shards[index].end for index in self.shards_of[contig.name]], np.int32)
            for contig in self.contigs
        ]

    def parse_region(self, text: str) -> Region:
        """Return the region that a user writes (see ``genome.regions``); raise InputRefused for other text."""
        return parse_region(text, contigs=self.contigs, aliases=self.rules.aliases)

    def shards_in(self, region: Region | None) -> list[int]:
        """Return the indices of the shards that the region touches; all of them without a region."""
        return [
            index
            for index, shard in enumerate(self.shards)
            if region is None
            or (shard.contig == region.contig and shard.start <= region.end and region.start <= shard.end)
        ]

    def description(self) -> dict[str, Any]:
        """Return the content of ``store.json``."""
        return read_description(self.path)

    @property
    def workspace(self) -> Path:
        """Return the workspace that the store belongs to; the folder that contains a bare store."""
        return self.home or self.path.absolute().parent

    @property
    def is_bare(self) -> bool:
        """Return whether the store belongs to no workspace: there is no consent to ask and no audit log."""
        return self.home is None

    @property
    def snapshots(self) -> Path:
        """Return the folder of the snapshots."""
        return self.path / "snapshots"

    def batch(self, name: str) -> Path:
        """Return the folder of a batch."""
        return self.path / "batches" / name

    def sites(self, snapshot: int) -> Path:
        """Return the folder of the merged sites of a snapshot."""
        return self.path / "sites" / f"{snapshot:08d}"

    def annotations(self, sites: str) -> Path:
        """Return the folder of the annotations of sites by their digest, which snapshots of the same people share."""
        return self.path / "annotations" / sites[:16]

    @property
    def annotations_lock(self) -> Path:
        """Return the lock of commands that annotate."""
        return self.path / "annotations" / ".lock"

    @property
    def work(self) -> Path:
        """Return the folder of unfinished work, which is deleted when the work is committed."""
        return self.path / "work"

    @property
    def waiting(self) -> Path:
        """Return the folder of the batches that wait for others (``cohort.min_batch``)."""
        return self.path / WAITING

    def waiting_lock(self) -> AbstractContextManager[int]:
        """Hold the batches that wait alone, from the decision on a batch to its snapshot."""
        return locks.exclusive(self.path / ".waiting.lock", waits_for="another command that adds to this cohort")

    @property
    def participants(self) -> Path:
        """Return the path of the index participant -> batch."""
        return self.path / "participants.sqlite"

    def lock(self) -> AbstractContextManager[int]:
        """Hold the store's commit lock; wait for another writer to finish."""
        return locks.exclusive(self.path / ".lock", waits_for="another command that writes to this cohort")

    def tables_lock(self, *, exclusive: bool) -> AbstractContextManager[int]:
        """Hold the lock of published tables: writers share it, and a withdrawal waits to hold it alone."""
        hold = locks.exclusive if exclusive else locks.shared
        return hold(self.path / ".tables.lock", waits_for="tables that other commands publish or withdraw")

    def writing_tables(self, clear: Callable[[], object]) -> AbstractContextManager[int]:
        """Register as a writer of tables; call ``clear`` first to delete what killed writers left, if alone."""
        return locks.shared_after(
            self.path / ".tables.writers", clear, waits_for="another command that clears unfinished tables"
        )

    def work_lock(self, batch: str) -> AbstractContextManager[int]:
        """Hold the work on ``batch`` alone; wait for another command that works on it."""
        return locks.exclusive_and_removed(
            self.work / f"{batch}.lock", waits_for="another command that works on the same batch"
        )


def create_store(
    path: Path,
    *,
    reference: Path,
    shards_file: Path | None = None,
    thresholds: Thresholds | None = None,
    rules: GvcfRules | None = None,
    areas: Areas | None = None,
    workspace: Path | None = None,
) -> Store:
    """Create an empty store bound to a reference; open it when the same store is there already.

    It belongs to ``workspace``, else to the workspace that it lies in; in none it is bare.

    ``reference``: an indexed or indexable FASTA. ``shards_file``: a shard table; without it the reference is tiled.
    ``rules``: those of batches that are added without a configuration. ``areas``: without them, the pseudo-autosomal
    regions of a known reference, and no target regions.
    Raises InputRefused when the reference, shards or settings do not fit, or another store is at ``path``.
    """
    path = store_folder(path)
    thresholds = thresholds or Thresholds()
    rules = rules or GvcfRules(max_contradicting=thresholds.max_contradicting)
    contigs, sequence = read_contigs(reference)
    lengths = {contig.name: contig.length for contig in contigs}
    if problems := check_bands(thresholds.gq_bands) + check_rules(rules, contigs=list(lengths)):
        raise InputRefused(problems)
    if shards_file is None:
        shards = make_shards(upper_sequences(reference))
    else:
        shards = read_shards(shards_file)
        check_tiling(shards, lengths, file=shards_file.name)
    name = re.sub(r"\.(fa|fasta|fna)(\.gz)?$", "", reference.name)
    description: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "reference": name,
        "contigs": [{key: value for key, value in asdict(contig).items() if value != ""} for contig in contigs],
        "sequence": sequence,
        "shards": shards_hash(shards),
        "thresholds": asdict(thresholds)
        | {"gq_bands": list(thresholds.gq_bands), "max_contradicting": rules.max_contradicting},
        "aliases": dict(rules.aliases),
        "ignore_contigs": list(rules.ignored),
        **(areas or Areas()).description(name, contigs=lengths, aliases=rules.aliases),
    }
    if not _exists(path, description):
        home = identity.find_workspace(path, owner="", given=workspace)
        owner = {identity.KEY: identity.identify(Workspace(home))} if home is not None else {}
        _write_store(path, description | owner, reference=reference, shards=shards)
    return open_store(path, workspace=workspace)


def store_folder(path: Path) -> Path:
    """Return the folder of the cohort store that ``path`` means: ``path``, or its ``cohort`` when it is a workspace."""
    if not (path / "store.json").exists() and path.is_dir() and identity.is_workspace(path):
        return path / Top.COHORT
    return path


def _exists(path: Path, description: Mapping[str, Any]) -> bool:
    """Return whether this very store is at ``path``; refuse another store or other files there."""
    if path.is_dir() and (path / "store.json").exists():
        if problems := fixed_problems(read_description(path), description, file="cohort init"):
            raise InputRefused(problems)
        return True
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputRefused(Problem(file=path.name, expected="an empty or new folder", found="other files"))
    return False


def _write_store(path: Path, description: Mapping[str, Any], *, reference: Path, shards: Sequence[Shard]) -> None:
    if path.exists():
        path.rmdir()
    with atomic_folder(path) as folder:
        with (folder / "reference.seq").open("wb") as out:
            for _name, sequence in upper_sequences(reference):
                out.write(plain(sequence).tobytes())
        for name in ("snapshots", "batches", "sites"):
            (folder / name).mkdir()
        write_text(folder / "shards.tsv", format_shards(shards))
        write_sealed(folder / "store.json", description)


def open_store(path: Path, *, workspace: Path | None = None) -> Store:
    """Open the store at ``path``, of ``workspace`` or of the workspace that ``find_workspace`` finds.

    Raises InputRefused when there is none that this version can read, or it belongs to another workspace.
    """
    path = store_folder(path.absolute())  # a cluster's workers have other working directories
    opened = _read_store(path)
    home = identity.find_workspace(path, owner=opened.owner, given=workspace)
    return replace(opened, home=home.absolute() if home is not None else None)


def _read_store(path: Path) -> Store:
    try:
        return described_store(path, read_description(path))
    except (FileNotFoundError, NotADirectoryError):
        raise no_store(path) from None
    except (DamagedFile, ValueError, KeyError, TypeError) as error:
        raise _refuse_damaged("store.json", expected="the description of a store") from error


def no_store(path: Path) -> InputRefused:
    """Return the refusal of ``path``, which holds no cohort store, with the likely mistake."""
    kind = identity.kind_of(path)
    file, found = path.name, "no store.json" if kind == "another folder" else kind
    action = "create one with: baekman cohort init --cohort DIR --reference REF.fa"
    if kind == "a delivery":
        file, action = "--cohort", "a delivery is given to `baekman deliver`; say --workspace DIR for its cohort"
    elif kind in ("a folder of tables", "a record store"):
        action = "say --workspace DIR instead, the workspace around it"
    elif path.name == Top.COHORT and path.parent.is_dir() and identity.is_workspace(path.parent):
        file, found = "cohort", "a workspace without a cohort yet"
        action = "`baekman deliver` makes it, or `baekman cohort init --workspace DIR --reference REF.fa`"
    elif kind == "a freeze":
        action = "this command needs the cohort that the freeze was made of: say --workspace DIR"
    elif kind == "the package of a release":
        action = (
            "open its Parquet files with DuckDB, Polars or pandas (docs/releases.md); README.md in it has the columns"
        )
    return InputRefused(Problem(file=file, expected="a cohort store", found=found, action=action))


def _refuse_damaged(file: str, *, expected: str) -> InputRefused:
    return InputRefused(Problem(file=file, expected=expected, found="something else", action="restore it from a copy"))


def read_description(path: Path) -> dict[str, Any]:
    """Return the content of ``store.json``; raise DamagedFile for other text, but not for an older schema."""
    file = path / "store.json"
    data = file.read_bytes()
    description = unsealed(data)
    if description is None:
        older = json.loads(data)
        if "sha256" in older or older["schema"] == SCHEMA_VERSION:
            raise DamagedFile(file)
        return dict(older)
    return description


def described_store(path: Path, description: Mapping[str, Any]) -> Store:
    """Return the store at ``path`` with its ``description``, and the shards of ``shards.tsv`` there.

    Raises InputRefused for another schema version, and for shards that the description does not name.
    """
    if description["schema"] != SCHEMA_VERSION:
        raise InputRefused(
            Problem(
                file="store.json",
                expected=f"schema {SCHEMA_VERSION}",
                found=f"schema {description['schema']}",
                action="add the gVCFs to a new store, or use the version of baekman that made this one",
            )
        )
    try:
        shards = tuple(read_shards(path / "shards.tsv"))
        is_whole = (path / "shards.tsv").read_bytes() == format_shards(shards).encode()
    except InputRefused:
        is_whole = False
    if not is_whole or shards_hash(shards) != description["shards"]:
        raise _refuse_damaged("shards.tsv", expected="the shard table that store.json names")
    thresholds = description["thresholds"]
    return Store(
        path=path,
        reference=description["reference"],
        contigs=tuple(Contig(**contig) for contig in description["contigs"]),
        shards=shards,
        thresholds=Thresholds(**(thresholds | {"gq_bands": tuple(thresholds["gq_bands"])})),
        rules=GvcfRules(
            aliases=description["aliases"],
            ignored=tuple(description.get("ignore_contigs", ())),
            max_contradicting=thresholds["max_contradicting"],
        ),
        par_regions=tuple(Region(**region) for region in description["par_regions"]),
        owner=str(description.get(identity.KEY, "")),
        sequence=description["sequence"],
    )


@lru_cache(maxsize=4)
def _open_once(path: Path, _inode: int, _changed: int, home: Path | None) -> Store:
    return replace(_read_store(path), home=home)


def check_names(names: Sequence[str], *, kind: str, pattern: re.Pattern[str]) -> None:
    """Refuse names that are not safe as the name of a file and of a sample; the message has positions, not values."""
    problems = [
        Problem(
            file=kind,
            place=f"entry {number}",
            expected="letters, digits, '.', '_' or '-', at most 64, beginning with a letter or digit",
            found="something else",
        )
        for number, name in enumerate(names, start=1)
        if not pattern.fullmatch(name)
    ]
    if problems:
        raise InputRefused(problems)
