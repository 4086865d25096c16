"""The paths of a workspace, the folder in which a cohort is made: each name is written here only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from baekman import audit
from baekman.verdicts import Gate


class Top(StrEnum):
    """The entries at the top of a workspace that the project makes; users may add others."""

    AUDIT = audit.FOLDER
    AUDIT_HEAD = audit.HEAD_NAME
    BENCHMARKS = "benchmarks"
    COHORT = "cohort"
    CONFIG = "config.yaml"
    DELIVERIES = "deliveries"
    DENIED = "denied.txt"
    DENIED_SEQUENCE = "denied.sequence"
    GRANTED = "granted.txt"
    IDENTITY = "workspace.json"
    PENDING_DENIALS = "denied.pending"
    LOGS = "logs"
    PARTICIPANTS = "participants"
    PROJECTS = "projects"
    RECEIPTS = "receipts"
    RECORDS = "records"
    REFERENCE = "reference"
    RELEASES = "releases"
    REGISTRY = "registry"
    RETURNED = "return"
    SEEN = audit.SEEN_NAME
    SNAKEMAKE = ".snakemake"
    TABLE_KEYS = "table_keys"
    TABLES = "tables"
    WATCHED = "watch"
    WITHDRAWN = "withdrawn"


STAGED = "staged"
ARRAY = "array.vcf.gz"  # the staged array genotypes of a specimen

# Entries with pseudonymous names only, which a message may show. File names in `return` are an institution's.
PSEUDONYMOUS = frozenset(Top) - {Top.RETURNED}
# Entries that a withdrawal handles by their own functions, or that remain (see withdrawal.REMAINS).
APART = frozenset(
    {
        *(Top.AUDIT, Top.AUDIT_HEAD, Top.COHORT, Top.DENIED, Top.DENIED_SEQUENCE, Top.GRANTED, Top.IDENTITY, Top.SEEN),
        *(Top.PENDING_DENIALS, Top.RECEIPTS, Top.RECORDS, Top.REGISTRY, Top.RETURNED, Top.TABLE_KEYS, Top.WITHDRAWN),
    }
)
# Folders of large files that name a participant in their own name only, or hold nobody's data.
BULK = frozenset({Top.PARTICIPANTS, Top.TABLES, Top.REFERENCE, STAGED})
# Folders of records of runs, which may go as a whole where they cannot be edited.
RUN_RECORDS = (Top.SNAKEMAKE, Top.LOGS, Top.BENCHMARKS, Top.DELIVERIES)


@dataclass(frozen=True)
class DeliveryFolder:
    """The folder of one received delivery, ``deliveries/<D…>``; every name in it is pseudonymous."""

    path: Path

    @property
    def id(self) -> str:
        """The delivery's ID (``D…``)."""
        return self.path.name

    @property
    def specimens(self) -> Path:
        """The pseudonymous manifest: a row for each staged lane (``workspace.specimens``)."""
        return self.path / "specimens.tsv"

    @property
    def summary(self) -> Path:
        """Platform, reference and consent state; it is written last, so intake is complete where it exists."""
        return self.path / "delivery.json"

    @property
    def inputs(self) -> Path:
        """The checksum and times of each delivered file, by row of the institution's manifest."""
        return self.path / "inputs.json"

    @property
    def inspected(self) -> Path:
        """The folder of the notes of inspected specimens."""
        return self.path / "inspected"

    def note(self, participant_id: str) -> Path:
        """Return the note of the inspection of a participant's specimen."""
        return self.inspected / f"{participant_id}.json"

    @property
    def orders(self) -> Path:
        """The folder of the sealed orders of an intake that is under way."""
        return self.path / "orders"

    @property
    def orders_key(self) -> Path:
        """The key of the orders; both go when the intake ends."""
        return self.path / "orders.key"

    def order(self, participant_id: str, form: str = "") -> Path:
        """Return the sealed order to inspect a participant's specimen; its ``form`` tells rules which carries it out.

        A form is "", ``lane`` (one lane of FASTQ) or ``lanes-N``.
        """
        return self.orders / f"{participant_id}{form and '.'}{form}.sealed"

    def find_order(self, participant_id: str) -> Path | None:
        """Return the sealed order of a participant in any form; None when there is none."""
        return next(self.orders.glob(f"{participant_id}.*sealed"), None)

    @property
    def lanes(self) -> Path:
        """The folder of the lanes that jobs of an intake have aligned; it goes with the orders."""
        return self.path / "lanes"

    def lane(self, participant_id: str, lane: str) -> Path:
        """Return the alignment of one lane; the sealed note of its contents has the ending ``.sealed`` instead."""
        return self.lanes / participant_id / f"{lane}.bam"

    @property
    def intake_lock(self) -> Path:
        """The lock that an intake of the delivery holds."""
        return self.path.parent / f".{self.id}.lock"

    @property
    def run_state(self) -> Path:
        """The state of the newest run of the workflow (``workspace.run_state``)."""
        return self.path / "progress.json"

    @property
    def run_lock(self) -> Path:
        """The lock that a run of the workflow by ``baekman deliver`` holds."""
        return self.path.parent / f".{self.id}.run.lock"

    @property
    def staged(self) -> Path:
        """The folder of the sanitised copies, a folder for each participant; jobs use and delete them."""
        return self.path / STAGED

    def verdicts(self, gate: Gate) -> Path:
        """Return the file of the verdicts of ``gate``."""
        return self.path / "verdicts" / f"{gate}.json"

    @property
    def decisions(self) -> Path:
        """The decisions of persons on held specimens (``workspace.decisions``)."""
        return self.path / "decisions.json"

    @property
    def decisions_lock(self) -> Path:
        """The lock of a change of ``decisions``."""
        return self.path.parent / f".{self.id}.decisions.lock"

    @property
    def failures(self) -> Path:
        """The folder of the notes on jobs that failed for one specimen (``workspace.runs.failures``)."""
        return self.path / "failures"

    def failure(self, participant_id: str) -> Path:
        """Return the note on the job that failed for a participant's specimen."""
        return self.failures / f"{participant_id}.json"

    @property
    def accepted(self) -> Path:
        """The participants who passed the QC gate: lines of participant ID, gVCF and sex."""
        return self.path / "accepted.tsv"

    @property
    def batch(self) -> Path:
        """The participants of the delivery that are in the cohort, and the snapshot."""
        return self.path / "batch.json"

    @property
    def report(self) -> Path:
        """The folder of the reports on the run."""
        return self.path / "report"

    @property
    def run_manifest(self) -> Path:
        """Versions, settings and inputs of the run; the delivery is finished where it exists."""
        return self.report / "manifest.json"


@dataclass(frozen=True)
class ParticipantFolder:
    """The folder of one participant, ``participants/<P…>``."""

    path: Path

    @property
    def delivery(self) -> Path:
        """The ID of the delivery that the files are of: the last that brought reads or calls past intake."""
        return self.path / "delivery"

    @property
    def cram(self) -> Path:
        """The alignment."""
        return self.path / "aligned.cram"

    @property
    def earlier_cram(self) -> Path:
        """The alignment before reads of a later delivery were merged with it (``workspace.current_reads``)."""
        return self.path / "earlier.cram"

    @property
    def reads(self) -> Path:
        """The delivery that the files are of, where several brought reads (``workspace.current_reads``)."""
        return self.path / "reads.json"

    @property
    def gvcf(self) -> Path:
        """The called variants and reference blocks."""
        return self.path / "calls.g.vcf.gz"

    @property
    def qc(self) -> Path:
        """The folder of QC results."""
        return self.path / "qc"

    @property
    def metrics(self) -> Path:
        """The QC metrics that the gate judges."""
        return self.qc / "metrics.json"


@dataclass(frozen=True)
class Workspace:
    """A workspace by its folder ``root``; jobs run in it and use ``Workspace(Path())``, with relative paths."""

    root: Path

    @property
    def audit(self) -> Path:
        """The folder of the audit log."""
        return self.root / Top.AUDIT

    @property
    def cohort(self) -> Path:
        """The folder of the cohort store."""
        return self.root / Top.COHORT

    @property
    def config(self) -> Path:
        """The configuration of this workspace, which need not exist."""
        return self.root / Top.CONFIG

    @property
    def deliveries(self) -> Path:
        """The folder of the received deliveries."""
        return self.root / Top.DELIVERIES

    def delivery(self, delivery_id: str) -> DeliveryFolder:
        """Return the folder of the delivery ``delivery_id`` (``D…``)."""
        return DeliveryFolder(self.deliveries / delivery_id)

    @property
    def denied(self) -> Path:
        """The list of participants without consent in force (``workspace.denied``)."""
        return self.root / Top.DENIED

    @property
    def denied_sequence(self) -> Path:
        """The number of the registry's last consent event that ``denied`` has."""
        return self.root / Top.DENIED_SEQUENCE

    @property
    def granted(self) -> Path:
        """The list of grants of uses that nobody may assume (``workspace.denied``)."""
        return self.root / Top.GRANTED

    @property
    def identity(self) -> Path:
        """The file with the ID of the workspace (``workspace.identity``)."""
        return self.root / Top.IDENTITY

    @property
    def pending_denials(self) -> Path:
        """The denials of a change of the registry that is under way, or was killed (``registry.denied_list``)."""
        return self.root / Top.PENDING_DENIALS

    @property
    def intake_cache(self) -> Path:
        """The folder of the indexed reference and its contigs that intake prepares before the workflow does."""
        return self.reference / ".intake"

    @property
    def logs(self) -> Path:
        """The folder of the logs of jobs and of ``baekman deliver``."""
        return self.root / Top.LOGS

    def deliver_log(self, delivery_id: str) -> Path:
        """Return the file of Snakemake's messages on ``delivery_id`` when ``baekman deliver`` runs it."""
        return self.logs / "deliver" / f"{delivery_id}.log"

    @property
    def participants(self) -> Path:
        """The folder of the participants' alignments, calls and metrics."""
        return self.root / Top.PARTICIPANTS

    def participant(self, participant_id: str) -> ParticipantFolder:
        """Return the folder of the participant ``participant_id`` (``P…``)."""
        return ParticipantFolder(self.participants / participant_id)

    @property
    def projects(self) -> Path:
        """The folder of research projects, ``<J…>`` each, and of the keys that sign."""
        return self.root / Top.PROJECTS

    @property
    def receipts(self) -> Path:
        """The folder of the receipts of withdrawals."""
        return self.root / Top.RECEIPTS

    def receipt(self, participant_id: str) -> Path:
        """Return the receipt of the withdrawal of ``participant_id``."""
        return self.receipts / f"{participant_id}.json"

    def removal_note(self, participant_id: str) -> Path:
        """Return the note of the changes of a withdrawal that has no receipt yet (``workspace.purge``)."""
        return self.receipts / f".{participant_id}.removal.json"

    @property
    def records(self) -> Path:
        """The folder of the record store."""
        return self.root / Top.RECORDS

    @property
    def reference(self) -> Path:
        """The folder of the reference genome with its indexes and shards."""
        return self.root / Top.REFERENCE

    @property
    def releases(self) -> Path:
        """The folder of releases, ``<R…>`` each (``releases.home``)."""
        return self.root / Top.RELEASES

    @property
    def registry(self) -> Path:
        """The folder of the registry, unless an option says otherwise."""
        return self.root / Top.REGISTRY

    @property
    def returned(self) -> Path:
        """The folder of the return reports; nothing else holds barcodes and delivered file names."""
        return self.root / Top.RETURNED

    @property
    def seen(self) -> Path:
        """The newest state of registry, lists, log and cohort that the workspace has seen (``audit.seen``)."""
        return self.root / Top.SEEN

    @property
    def snakemake(self) -> Path:
        """The folder of Snakemake's own records."""
        return self.root / Top.SNAKEMAKE

    @property
    def table_keys(self) -> Path:
        """The folder of the keys of encrypted tables; tables are encrypted where it exists."""
        return self.root / Top.TABLE_KEYS

    @property
    def tables(self) -> Path:
        """The folder of the participants' tables."""
        return self.root / Top.TABLES

    @property
    def watched(self) -> Path:
        """The folder of the states of watched inboxes (``workspace.inbox_state``)."""
        return self.root / Top.WATCHED

    @property
    def withdrawn(self) -> Path:
        """The folder of the marks of withdrawn participants."""
        return self.root / Top.WITHDRAWN

    def mark(self, participant_id: str) -> Path:
        """Return the file that marks ``participant_id`` as withdrawn."""
        return self.withdrawn / participant_id

    def relative(self, path: Path) -> str:
        """Return ``path``, which lies in the workspace, relative to ``root`` with forward slashes.

        Raises:
            ValueError: ``path`` does not lie in the workspace.
        """
        return path.relative_to(self.root).as_posix()
