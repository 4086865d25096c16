"""The cohort as an object.

A method that uses individual data leaves an event in the audit log of the workspace, if it keeps one. Heavy libraries
are imported by the methods that need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from baekman.cohort.snapshot import Snapshot, numbers, read_snapshot
from baekman.cohort.store import Store, check_names
from baekman.engine.local import Engine
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.query.access import Access

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

    from baekman.export.selection import Only
    from baekman.query.genotypes import GenotypeBlock
    from baekman.query.limits import Limits
    from baekman.query.question import Question

Location = str | PathLike[str]


class Cohort:
    """A cohort store, read through one snapshot. ``open_cohort`` and ``create_cohort`` make it.

    ``store`` is the store on disk (``contigs``, ``shards``, ``reference``), ``snapshot`` the snapshot that is read,
    ``workspace`` the folder around the store; ``engine`` runs long work. A method that changes the store moves the
    object to the new snapshot. Positions are 1-based and ends inclusive; a region is ``contig``, ``contig:pos`` or
    ``contig:start-end``, and commas in numbers are ignored.

    The examples of the methods go on from this one:
        >>> cohort = baekman.open_cohort("W/cohort")
        >>> [contig.name for contig in cohort.store.contigs], cohort.snapshot.participants
        (['chr20'], 2)
    """

    def __init__(self, store: Store, snapshot: Snapshot, *, engine: Engine, purpose: str = "") -> None:
        self._access = Access(store, purpose=purpose)
        self.purpose, self.store, self.snapshot, self.engine = purpose, store, snapshot, engine
        self.workspace = self._access.workspace

    def __repr__(self) -> str:
        at = self.snapshot
        return f"<Cohort {self.store.path.name}, snapshot {at.number}: {at.participants} participants>"

    @property
    def left_out(self) -> int:
        """The number of participants of the snapshot without consent to the purpose in force: no method shows them.

        Sites (``ac``, ``an`` and so on) count them until they are withdrawn. A bare store has no consent to ask: 0.

        Example:
            >>> cohort.left_out
            0
        """
        return len(self._access.left_out(self.snapshot))

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots, oldest first.

        Example:
            >>> [(each.number, each.participants) for each in cohort.snapshots()]
            [(1, 2)]
        """
        return [read_snapshot(self.store, number) for number in numbers(self.store)]

    def participants(self) -> pa.Table:
        """Return a row per participant, sorted by ID: the roster (docs/cohort-format.md) and ``batch``.

        Example:
            >>> cohort.participants().select(["participant_id", "sex"]).to_pylist()
            [{'participant_id': 'P000000000001K', 'sex': 'female'}, {'participant_id': 'P000000000002N', 'sex': 'male'}]
        """
        return self._table(None, sql="SELECT * FROM participants ORDER BY participant_id")

    def sites(self, region: str | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a row per allele with its POS in ``region`` (else in the genome), in the order of the genome.

        Columns: ``contig pos ref alt ac an af filter …`` (docs/cohort-format.md, sites). ``ac`` and ``an`` count
        called genotypes, ``ac_raw`` and ``an_raw`` all; ``qual`` and ``excess_het`` are phred. Raises InputRefused for
        an unknown region or column.

        Example:
            >>> cohort.sites("chr20:1-2,000", columns=["pos", "ref", "alt", "ac", "an"]).to_pylist()
            [{'pos': 1001, 'ref': 'A', 'alt': 'T', 'ac': 3, 'an': 4}]
        """
        return self._table(columns, region=region)

    def annotations(self, region: str | None = None, *, gene: str | None = None, rsid: str | None = None) -> pa.Table:
        """Return the annotations of the alleles in ``region`` with the ``gene`` and the ``rsid``, else of all alleles.

        A row per allele, in the order of the genome: ``contig pos ref alt gene consequence impact … rsid clinvar …``
        (docs/exports.md, annotations). ``gene`` is the name of a gene with a consequence, whatever its case. Raises
        InputRefused for a snapshot without annotations (``baekman cohort annotate`` makes them), an unknown region, and
        a gene or rsID that no allele has.

        Example:
            >>> cohort.annotations(gene="ALPHA").select(["pos", "alt", "gene", "consequence"]).to_pylist()
            [{'pos': 1001, 'alt': 'T', 'gene': 'ALPHA', 'consequence': 'non_coding'}]
        """
        return self._table(None, annotations=True, region=region, gene=gene, rsid=rsid)

    def calls(self, participant: str, region: str | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a participant's call rows, one per allele, in the order of the genome.

        Columns: ``participant_id contig pos ref alt copies ploidy other genotyped called gq dp ad_ref ad_alt pl phase
        phase_set caller_filter``; ``gq`` and ``pl`` are phred, null is missing. A row with 0 copies is an allele that
        the participant's record names with evidence. Raises InputRefused for an unknown participant, region or column.

        Example:
            >>> cohort.calls("P000000000001K", "chr20", columns=["pos", "alt", "copies", "pl"]).to_pylist()
            [{'pos': 1001, 'alt': 'T', 'copies': 1, 'pl': [250, 0, 300]}]
        """
        return self._table(columns, participant=participant, region=region)

    def genotypes(self, region: str | None = None, *, mode: str = "called") -> Iterator[GenotypeBlock]:
        """Return the genotypes of all participants at the alleles of a region, in blocks that fit in memory.

        A block has ``sites`` (Arrow), ``participants``, and the NumPy arrays ``copies`` (int8, -1: not shown),
        ``ploidy`` (uint8) and ``state`` (uint8), each alleles × participants; ``to_pandas`` makes a data frame. Mode
        ``called`` shows genotypes that meet the store's thresholds, ``raw`` all of the callers', ``joint`` the joint
        genotypes. Raises InputRefused for an unknown region or mode.

        Example:
            >>> for block in cohort.genotypes("chr20:1-2,000", mode="joint"):
            ...     print(block.sites["alt"].to_pylist(), block.copies.tolist(), block.state.tolist())
            ['T'] [[1, 2]] [[4, 4]]
        """
        from baekman.query.genotypes import genotype_blocks

        where = self.store.parse_region(region) if region is not None else None
        without = self._access.left_out(self.snapshot)
        self._record("query", question=["genotypes", region, mode])
        return genotype_blocks(self.store, self.snapshot, region=where, mode=mode, without=without)

    def scan(self, view: str) -> pl.LazyFrame:
        """Return a view as a Polars LazyFrame, which reads only the needed columns and rows.

        ``view``: ``sites``, ``calls``, ``reference``, ``participants``, or ``annotations`` if there are any (see
        docs/exports.md); else InputRefused.

        Example:
            >>> import polars as pl
            >>> cohort.scan("sites").filter(pl.col("pos") > 1_000).select("pos", "af").collect().rows()
            [(1001, 0.75)]
        """
        return self._access.scan(self.snapshot, view)

    def sql(self, query: str, *, limits: Limits | None = None) -> duckdb.DuckDBPyRelation:
        """Return the answer to one SELECT over the views (see ``scan``) as a DuckDB relation.

        The relation is evaluated by its own methods, such as ``.fetchall()``, ``.to_arrow_table()``, ``.pl()`` and
        ``.df()`` (pandas), within ``limits``. The SQL can read the snapshot's files only,
        and write nothing. Raises InputRefused for SQL that does not parse, names an unknown column or view, or writes.

        Example:
            >>> cohort.sql("SELECT filter, count(*) AS alleles FROM sites GROUP BY ALL").df().to_dict("records")
            [{'filter': 'PASS', 'alleles': 1}]
        """
        return self._access.sql(self.snapshot, query, limits=limits)

    @contextmanager
    def query(self, question: Question) -> Iterator[duckdb.DuckDBPyRelation]:
        """Yield the answer to a question of ``baekman query`` as a DuckDB relation, to be read within the block.

        Only the files that the question needs are opened. Raises InputRefused as ``calls`` and ``sql`` do, for a
        participant without consent in force, and when the snapshot is deleted within the block.

        Example:
            >>> from baekman.query.question import Question
            >>> with cohort.query(Question(region="chr20:1001")) as relation:
            ...     relation.project("pos, ac").fetchall()
            [(1001, 3)]
        """
        from baekman.query.ask import ask

        without = self._access.admit(self.snapshot, question)
        with ask(self.store, self.snapshot, question, without=without) as relation:
            yield relation

    def write_tables(self, output: Location, *, participants: Sequence[str] | None = None) -> int:
        """Write the tables of ``participants`` (else of everyone) at this snapshot; returns how many participants.

        ``output`` gets ``variants/`` and ``reference/``. Tables of this snapshot that are there already stay. Without
        ``participants``, those without consent in force are left out, and their tables in ``output`` are deleted.
        Raises InputRefused for an unknown participant, a named one without consent in force, and when the workspace
        encrypts tables and the master key is missing.

        Example:
            >>> cohort.write_tables("tables", participants=["P000000000001K"])
            1
        """
        return self._access.write_tables(self.snapshot, Path(output), participants, engine=self.engine)

    def export(
        self,
        output: Location,
        *,
        format: str,
        region: str | None = None,
        mode: str = "called",
        by_position: bool = False,
        **only: Unpack[Only],
    ) -> None:
        """Write the cohort as one multi-sample file, a column per participant with consent in force (docs/exports.md).

        ``output`` is ``x.vcf``, ``x.vcf.gz``, ``x.bcf``, ``x.pgen`` or ``x.vcz``; ``mode`` as for ``genotypes``. With
        ``by_position`` all alleles of a position are one line. ``only``: ``participants`` (IDs), ``regions`` (BED) and
        ``min_ac`` (copies in the file). Raises InputRefused for an unknown ID and when consent ends during it.

        Example:
            >>> cohort.export("chr20.bcf", format="bcf", region="chr20", mode="joint")
        """
        from baekman.export.selection import Selection

        part = Selection(region=region, mode=mode, by_position=by_position, **only)
        self._access.require_named(part.participants)
        self._record("export", question=part.question())
        without = self._access.left_out(self.snapshot)
        before = partial(self._access.require_unchanged, self.snapshot, without)
        options: dict[str, Any] = {"format": format, "output": Path(output), "engine": self.engine}
        part.export(self.store, self.snapshot, left_out=without, before_output=before, **options)

    def freeze(self, output: Location) -> Snapshot:
        """Write ``sites/`` and ``tables/`` of everyone at the latest snapshot to ``output``; returns that snapshot.

        Participants without consent in force are left out, and no number counts them; also if the consent ends while
        the freeze is written. Raises InputRefused when ``output`` holds another freeze.

        Example:
            >>> cohort.freeze("release-1").number
            1
        """
        self.snapshot = self._access.write_freeze(Path(output), engine=self.engine)
        return self.snapshot

    @property
    def waiting(self) -> int:
        """The number of participants who wait for a batch of ``cohort.min_batch``: no snapshot has them.

        Example:
            >>> cohort.waiting
            0
        """
        from baekman.cohort.add import count_waiting

        return count_waiting(self.store)

    def add(self, batch: str, gvcfs: Location, *, config: Location | None = None, now: bool = False) -> Snapshot:
        """Add a batch of gVCFs and return the new snapshot; the same batch again changes nothing.

        With fewer participants than ``cohort.min_batch`` the batch waits, unless ``now``: the latest snapshot returns.
        ``gvcfs`` is a file with lines of participant ID, path and optionally sex (``female``, ``male``), separated by
        tabs; ``config`` a configuration, by default as for ``create_cohort``: its site filters and rules of reading
        gVCFs are applied. Raises InputRefused for an unreadable gVCF, a participant who is in the cohort already or has
        no consent in force, a batch name with other members, and a setting that is fixed and differs.

        Example:
            >>> cohort.add("b2", "more.tsv").participants
            3
        """
        self.store = self._access.adopt()
        config = Path(config) if config else None
        self.snapshot = self._access.add(batch, Path(gvcfs), config=config, now=now, engine=self.engine)
        return self.snapshot

    def replace(self, batch: str, gvcfs: Location, *, config: Location | None = None) -> Snapshot:
        """Replace the gVCFs of participants of the cohort and return the new snapshot, which has only the new ones.

        ``batch`` is the name of the new batch; ``gvcfs`` and ``config`` are as for ``add``. Older snapshots stay. The
        same batch again changes nothing. Raises InputRefused as ``add`` does, but for a participant who is not in the
        latest snapshot.

        Example:
            >>> cohort.replace("r1", "better.tsv").participants
            2
        """
        self.store = self._access.adopt()
        config = Path(config) if config else None
        self.snapshot = self._access.replace(batch, Path(gvcfs), config=config, engine=self.engine)
        return self.snapshot

    def withdraw(self, participants: Sequence[str]) -> Snapshot:
        """Take participants out of the cohort, of every snapshot that counts them and of the tables next to it.

        For a cohort ``W/cohort`` these are ``W/tables``: those of ``participants`` are deleted, and others' that
        counted them are written again. Unknown IDs change nothing. Returns the new snapshot. Raises InputRefused for an
        entry that cannot be an ID, and when the master key of encrypted tables is missing.

        Example:
            >>> cohort.withdraw(["P000000000002N"]).participants
            1
        """
        check_names(participants, kind="participants", pattern=PARTICIPANT_ID)
        self.store = self._access.adopt()
        self.snapshot = self._access.withdraw(participants, engine=self.engine)
        return self.snapshot

    def compact(self, *, below: int = 1000, keep: int | None = None) -> Snapshot:
        """Merge batches of fewer than ``below`` participants into larger ones; returns the new snapshot.

        Sites and tables of a freeze stay byte for byte the same. Snapshots that name the merged batches are deleted,
        and of the others all but the last ``keep``, if it is given.

        Example:
            >>> cohort.compact().number
            1
        """
        from baekman.cohort import rewrite

        self.store = self._access.adopt()
        self._record("cohort.compact")
        self.snapshot = rewrite.compact(self.store, below=below, keep=keep, engine=self.engine)
        return self.snapshot

    def verify(self, gvcfs: Location | None = None, *, config: Location | None = None) -> list[str]:
        """Read the whole store again and return a line per finding; an empty list for a sound store.

        ``gvcfs`` is a list as for ``add``, to compare call rows and segments with, and ``config`` the configuration of
        their batch; InputRefused if they cannot be read.

        Example:
            >>> cohort.verify()
            []
        """
        members, settings = (Path(file) if file else None for file in (gvcfs, config))
        return self._access.verify(members, config=settings, engine=self.engine)

    def _table(self, columns: Sequence[str] | None, **question: Any) -> pa.Table:
        from baekman.query.output import arrow_table
        from baekman.query.question import Question

        with self.query(Question(**question)) as relation:
            return arrow_table(relation, columns=columns)

    def _record(self, action: str, *, object: str | None = None, question: Any = None, **hashes: str) -> None:
        self._access.record(action, object=object or str(self.snapshot.number), question=question, **hashes)
