"""The contents of a package: people, rows, genotypes, documents and the manifest, each step skipped when done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from baekman.cohort.index import find_batches
from baekman.consent import Scope
from baekman.engine.local import Engine
from baekman.projects.decisions import decisions_on
from baekman.projects.project import Project
from baekman.projects.release_key import release_key
from baekman.registry.books.book import Book, open_book
from baekman.releases import low_risk
from baekman.releases.checks.sequencing import SequencingGate
from baekman.releases.counting import Source, count_rules
from baekman.releases.dag.run import run_dag
from baekman.releases.dag.tasks import Tasks
from baekman.releases.families import family_of
from baekman.releases.home import ReleaseHome
from baekman.releases.learning import croissant
from baekman.releases.learning.pgen import PgenTasks
from baekman.releases.learning.tasks import MatrixTasks, MedsTasks, make_splits, write_metadata
from baekman.releases.members import Members
from baekman.releases.package import documents
from baekman.releases.package.about import About, Review
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.genotypes import Wanted
from baekman.releases.package.linked_rows import BucketTasks, SpillTasks
from baekman.releases.package.manifest import NAME, Manifest, digests_of_package, seal
from baekman.releases.package.people import PEOPLE, People, sample_numbers
from baekman.releases.package.persons import PARTICIPANTS, participant_tables, spill_persons
from baekman.releases.package.scan import MEMBERS, ids_of, scan_package
from baekman.releases.package.shards import ShardTasks
from baekman.releases.package.spill import bucket_count
from baekman.releases.plan import Plan
from baekman.releases.planning import low_risk_tables, open_stores, proposed_source
from baekman.releases.transfer.encryption import SUFFIX, encrypt_files
from baekman.releases.transform import Rules
from baekman.releases.views import Stores
from baekman.tools import programs

if TYPE_CHECKING:
    from baekman.registry.records import Registry

PARTICIPANT_FILE = "participants.parquet"
COUNT_FILE = "counts.parquet"
COUNTS = pa.schema([("code", pa.string()), ("kind", pa.string()), ("unit", pa.string()), ("people", pa.int64())])
TITLES = {
    "spill": "reading records",
    "bucket": "writing records",
    "meds": "writing MEDS",
    "shard": "writing genotypes",
    "matrix": "writing dosages",
    "pgen": "writing pgen",
}
INDIVIDUAL = frozenset({"room", "transfer"})  # tiers with rows of events and genotypes


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The parts that a package is made of; ``at`` is the day of the build, for ages."""

    workspace: Path
    home: ReleaseHome
    plan: Plan
    project: Project
    registry: Registry
    at: date

    @cached_property
    def source(self) -> Source:
        """The members with their rows."""
        return proposed_source(self.workspace, home=self.home, project=self.project, registry=self.registry, at=self.at)

    @cached_property
    def rules(self) -> Rules:
        """The rules of released rows."""
        return count_rules(self.source)

    @cached_property
    def stores(self) -> Stores:
        """The stores at the snapshots of the plan."""
        return open_stores(self.workspace, self.source.request, self.project)

    @property
    def members(self) -> Members:
        """The sealed members."""
        return self.source.rows.members

    @property
    def is_individual(self) -> bool:
        """Whether the package has rows of events and genotypes."""
        return self.plan.tier in INDIVIDUAL

    @cached_property
    def book(self) -> Book:
        """The project's book: project IDs and date shifts."""
        return open_book(self.registry, self.project.id)

    @property
    def bucket_count(self) -> int:
        """The number of buckets of the release."""
        return bucket_count(self.plan.members)


def write_contents(contents: Contents, folder: PackageFolder, *, engine: Engine, profile: str = "") -> Path:
    """Write the whole package with its manifest, and return its folder: ``content``, or ``sealed`` of a transfer.

    With a ``profile`` of Snakemake its buckets and shards are jobs (``releases.dag``), else tasks of the ``engine``.

    Raises:
        InputRefused: The finished package has an ID of this workspace.
    """
    folder.content.mkdir(exist_ok=True)
    for path in folder.content.rglob(".*.tmp"):  # of a write that SIGKILL ended
        path.unlink()
    if contents.plan.tier == "open":
        _write_counts(contents, folder)
    elif contents.plan.tier == "low_risk":
        _write_low_risk(contents, folder, write_people(contents, folder))
    else:
        tasks = individual_tasks(contents, folder, write_people(contents, folder))
        if profile:
            run_dag(folder.path, tasks, profile=profile, workers=engine.workers)
        else:
            with engine.open() as map_tasks:
                for kind, some in tasks.items():
                    map_tasks(TITLES[kind], some, len(some))
    _write_documents(contents, folder)
    if contents.source.request.recipient is not None:
        return _write_transfer(contents, folder, contents.source.request.recipient.key, engine=engine)
    _seal(contents, folder, folder.content)
    _scan(contents, folder.content, engine=engine)
    return folder.content


def _scan(contents: Contents, package: Path, *, engine: Engine) -> None:
    """Raise InputRefused when an ID of ours is in the folder ``package``; encrypted files are left out."""
    ours, members = ids_of(contents.workspace, contents.registry), islice(contents.members.ids(), MEMBERS)
    scan_package(package, ours=ours, members=members, engine=engine, without=SUFFIX)


def _write_transfer(contents: Contents, folder: PackageFolder, key: bytes, *, engine: Engine) -> Path:
    """Write the package of a transfer to ``folder.sealed`` and return it.

    The plain files stay in the folder of work, which only the owner can read, and are scanned before they are
    encrypted. README and dictionary, then crate and manifest, are the files in clear.
    """
    (folder.content / documents.CRATE).unlink(missing_ok=True)  # it names the encrypted files
    _scan(contents, folder.content, engine=engine)
    shutil.rmtree(folder.sealed, ignore_errors=True)
    folder.sealed.mkdir()
    names = tuple(sorted({*digests_of_package(folder.content)} - {documents.README, documents.DICTIONARY}))
    plain = encrypt_files(folder.content, folder.sealed, names=names, key=key, engine=engine)
    for name in (documents.README, documents.DICTIONARY):
        shutil.copyfile(folder.content / name, folder.sealed / name)
    documents.write_crate(folder.sealed, about_of(contents, rows=folder.rows()), digests_of_package(folder.sealed))
    _seal(contents, folder, folder.sealed, plain=plain)
    _scan(contents, folder.sealed, engine=engine)
    return folder.sealed


def write_people(contents: Contents, folder: PackageFolder) -> People:
    """Write the members with their project IDs, sealed with a key that only this process has."""
    people = People.new(folder.path / "people")
    for bucket, members in contents.source.rows.buckets():
        ids = [member.participant_id for member in members]
        book = contents.book.rows(ids).sort_by("participant_id")
        genotyped = _genotyped(contents, [m.participant_id for m in members if Scope.GENOME not in m.denied])
        columns = {
            **{name: book[name] for name in ("participant_id", "project_id", "date_shift_days")},
            "sample": pa.nulls(len(ids), pa.uint32()),
            "has_genotypes": pa.array([participant in genotyped for participant in ids]),
            "denied": pa.array([list(member.denied) for member in members], PEOPLE.field("denied").type),
        }
        people.write(bucket, pa.table(columns).cast(PEOPLE))
    order = sample_numbers(table["project_id"].combine_chunks() for table in people.tables())
    for bucket in people.buckets():
        people.number(bucket, order)
    return people


def _genotyped(contents: Contents, participants: list[str]) -> set[str]:
    """Return those of ``participants`` with genotypes in the release."""
    request, stores = contents.source.request, contents.stores
    if not request.regions or stores.cohort is None or stores.cohort_snapshot is None or not contents.is_individual:
        return set()
    sequenced = set(find_batches(stores.cohort, participants, at=stores.cohort_snapshot))
    if request.below_qc == "leave_out":
        gate = SequencingGate(contents.workspace)
        sequenced = {participant for participant in sequenced if not gate.is_below(participant)}
    return sequenced


def _write_counts(contents: Contents, folder: PackageFolder) -> None:
    """Write the number of members of each released code: the package of the tier ``open``."""
    shown = [column for column in contents.plan.columns if column.people is not None]
    rows = [
        {name: getattr(column, name) for name in ("kind", "unit", "people")} | {"code": column.name} for column in shown
    ]
    count = folder.write(COUNT_FILE, [pa.Table.from_pylist(rows, schema=COUNTS)], schema=COUNTS)
    folder.note("counts", {COUNT_FILE: count})


def _write_low_risk(contents: Contents, folder: PackageFolder, people: People) -> None:
    """Write one row a participant: the package of the tier ``low_risk``."""
    rules = contents.rules
    schema = low_risk.row_schema(sorted(rules.people), key="project_id")

    def tables() -> Iterator[pa.Table]:
        rows = low_risk_tables(contents.source, rules)
        for (bucket, _), table in zip(contents.source.rows.buckets(), rows, strict=True):
            ids = people.of_bucket(bucket)
            assert table["participant_id"].to_pylist() == ids["participant_id"].to_pylist()
            yield pa.table([ids["project_id"], *table.columns[1:]], schema=schema)

    threshold = contents.source.request.threshold
    with low_risk.suppressed(tables(), schema=schema, threshold=threshold) as (relation, _):
        batches = (pa.Table.from_batches([batch]) for batch in relation.to_arrow_reader(1 << 16))
        count = folder.write(PARTICIPANT_FILE, batches, schema=schema)
    folder.note("participants", {PARTICIPANT_FILE: count})


def individual_tasks(contents: Contents, folder: PackageFolder, people: People) -> dict[str, Tasks]:
    """Write the participants; return the tasks that write events, coverage and genotypes, by kind, in their order."""
    rows, request = contents.source.rows, contents.source.request
    buckets, count = people.buckets(), contents.bucket_count
    spill_persons(contents.source, contents.rules, people, folder, count=count)
    written = folder.write(PARTICIPANT_FILE, participant_tables(folder, buckets, count=count), schema=PARTICIPANTS)
    folder.note("participants", {PARTICIPANT_FILE: written})
    tasks: dict[str, Tasks] = {}
    if rows.store is not None and rows.snapshot is not None and request.codes:
        tasks["spill"] = SpillTasks(
            folder=folder,
            store=rows.store,
            snapshot=rows.snapshot,
            people=people,
            rules=contents.rules,
            buckets=buckets,
            count=count,
        )
        of_bucket = BucketTasks(folder=folder, buckets=buckets, count=count, is_meds=request.shape == "meds")
        tasks["bucket"] = of_bucket
        if request.shape == "meds":
            tasks["meds"] = _meds_tasks(contents, people, of_bucket)
    if (shards := shard_tasks(contents, folder, people)) is not None:
        tasks["shard"] = shards
        if request.shape == "meds" and request.genotypes == "dense":
            tasks["matrix"] = _matrix_tasks(shards)
        if request.pgen:
            programs.require("plink2")
            tasks["pgen"] = PgenTasks(folder=folder, store=shards.store, snapshot=shards.snapshot, wanted=shards.wanted)
    return tasks


def _meds_tasks(contents: Contents, people: People, tasks: BucketTasks) -> MedsTasks:
    """Write the splits and the metadata of MEDS; return the tasks that write its rows."""
    splits = make_splits(contents.source, people, families=family_of(contents.workspace))
    codes = [column.name for column in contents.plan.columns]
    released = documents.released_dictionary(contents.source.dictionary, codes)
    write_metadata(tasks.folder, splits, released, day=about_of(contents, rows={}).day)
    return MedsTasks(buckets=tasks, splits=splits)


def _matrix_tasks(shards: ShardTasks) -> MatrixTasks:
    """Return the tasks of the matrices of dosages: one for each region of the genotypes."""
    store, regions = shards.store, shards.wanted.regions
    names = tuple(tuple(store.shards[shard].name for shard in store.shards_in(region)) for region in regions)
    samples = len(shards.wanted.samples.ids)
    return MatrixTasks(folder=shards.folder, regions=regions, shards=names, samples=samples)


def shard_tasks(contents: Contents, folder: PackageFolder, people: People) -> ShardTasks | None:
    """Return the tasks of the genotypes; None where the request has no regions, or no member has genotypes."""
    stores, request = contents.stores, contents.source.request
    if not request.regions or stores.cohort is None or stores.cohort_snapshot is None:
        return None
    samples = people.samples()
    if not len(samples.ids):
        return None
    regions = tuple(stores.cohort.parse_region(region) for region in request.regions)
    wanted = Wanted(samples=samples, regions=regions, is_dense=request.genotypes == "dense")
    shards = tuple(wanted.shards(stores.cohort))
    return ShardTasks(folder=folder, store=stores.cohort, snapshot=stores.cohort_snapshot, wanted=wanted, shards=shards)


# -- documents and manifest


def _write_documents(contents: Contents, folder: PackageFolder) -> None:
    about = about_of(contents, rows=folder.rows())
    codes = [column.name for column in contents.plan.columns]
    documents.write_readme(folder.content, about)
    documents.write_released_dictionary(folder.content, contents.source.dictionary, codes)
    for name in (documents.CRATE, croissant.NAME):
        (folder.content / name).unlink(missing_ok=True)
    if contents.source.request.shape == "meds":
        croissant.write_croissant(folder.content, about, digests_of_package(folder.content))
    documents.write_crate(folder.content, about, digests_of_package(folder.content))


def about_of(contents: Contents, *, rows: dict[str, int]) -> About:
    """Return the facts of the package with the files ``rows``."""
    plan, project = contents.plan, contents.project
    approvals = [each for each in decisions_on(project, seen=plan.hash) if each.verdict == "approve"]
    reviews = [
        Review(role=each.role, key=each.key_id, day=each.time[:10], expires=each.expires.isoformat())
        for each in sorted(approvals, key=lambda each: (each.role, each.key_id))
    ]
    return About(
        release=contents.home.id,
        project=project.id,
        title=project.title,
        institution=project.institution,
        purpose=project.purpose,
        tier=plan.tier,
        plan=plan.hash,
        members=plan.members,
        snapshots={name: snapshot.number for name, snapshot in plan.snapshots.items()},
        counts=plan.counts,
        reviews=reviews,
        rows=rows,
        recipient_key=plan.recipient_key,
    )


def _seal(contents: Contents, folder: PackageFolder, package: Path, *, plain: Mapping[str, str] | None = None) -> None:
    """Write the signed manifest of everything that lies in ``package``; ``plain`` as in ``Manifest``."""
    plan, path = contents.plan, package / NAME
    path.unlink(missing_ok=True)
    facts = {
        "project": contents.project.id,
        "tier": plan.tier,
        "plan": plan.hash,
        "members": plan.members,
        "snapshots": {name: snapshot.number for name, snapshot in plan.snapshots.items()},
    }
    if plan.recipient_key:
        facts["recipient"] = {"name": plan.recipient, "key": plan.recipient_key}
    files = digests_of_package(package)
    manifest = Manifest(release=contents.home.id, files=files, rows=folder.rows(), plain=plain or {}, facts=facts)
    path.write_bytes(seal(manifest, key=release_key(contents.workspace)))
