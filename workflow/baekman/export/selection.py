"""The part of a cohort that an export has: some participants, some regions, and alleles that are frequent enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

from baekman.cohort.dense_genotypes import participants_of
from baekman.cohort.index import find_batches
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.export.write import Content, export
from baekman.genome.regions import Region
from baekman.genome.targets import read_targets
from baekman.tables.members import require_members


class Only(TypedDict, total=False):
    """The options of ``Cohort.export`` that select a part of the cohort."""

    participants: Sequence[str] | None
    regions: str | PathLike[str] | None
    min_ac: int


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The part of a cohort to export, as a person asks for it.

    Attributes:
        region: ``contig`` or ``contig:start-end``, 1-based, both ends included; None: the genome.
        regions: a BED file (0-based, half-open) in place of ``region``; lines may overlap.
        participants: IDs; None: everyone.
        min_ac: the fewest copies of an allele in the genotypes that the export shows.
        mode: ``called``, ``raw`` or ``joint``.
        by_position: whether all alleles of a position are one line.
    """

    region: str | None = None
    regions: str | PathLike[str] | None = None
    participants: Sequence[str] | None = None
    min_ac: int = 0
    mode: str = "called"
    by_position: bool = False

    def export(self, store: Store, snapshot: Snapshot, *, left_out: frozenset[str], **options: Any) -> None:
        """Write the export as ``write.export`` does with ``options``; raise InputRefused as it and ``content`` do."""
        export(store, snapshot, content=self.content(store, snapshot, left_out=left_out), **options)

    def content(self, store: Store, snapshot: Snapshot, *, left_out: frozenset[str]) -> Content:
        """Return the content of the export; the participants ``left_out`` are not in it.

        Raises:
            InputRefused: A participant is not in the snapshot, or there is none; a region or a line of the BED file is
                not of the store's reference; or both ``region`` and ``regions`` are given.
        """
        without = left_out
        if self.participants is not None:
            known = find_batches(store, self.participants, at=snapshot)
            require_members(self.participants, known=known, of=f"snapshot {snapshot.number}")
            without |= frozenset(participants_of(store, snapshot).ids.to_pylist()) - frozenset(self.participants)
        return replace(self.content_of(store), without=without)

    def content_of(self, store: Store, *, is_part: bool = False) -> Content:
        """Return the content of an export of everyone in ``store``; ``is_part`` as in ``Content``.

        Raises:
            InputRefused: A region or a line of the BED file is not of the store's reference, or there are both.
        """
        return Content(
            regions=self._regions(store),
            mode=self.mode,
            by_position=self.by_position,
            min_ac=self.min_ac,
            is_part=is_part,
        )

    def question(self) -> list[Any]:
        """Return what is asked, for the audit log."""
        asked = [self.region, self.mode == "raw", self.mode == "joint", self.by_position]
        if self.regions is None and self.participants is None and not self.min_ac:
            return asked
        people = sorted(self.participants) if self.participants is not None else None
        return [*asked, Path(self.regions).name if self.regions is not None else None, people, self.min_ac]

    def _regions(self, store: Store) -> tuple[Region, ...] | None:
        if self.region is not None and self.regions is not None:
            raise InputRefused(
                Problem(
                    file="--regions",
                    expected="--region or --regions",
                    found="both",
                    action="give the region as a line of the BED file",
                )
            )
        if self.regions is not None:
            lengths = {contig.name: contig.length for contig in store.contigs}
            bed = Path(self.regions)
            if not bed.exists():
                raise InputRefused(
                    Problem(
                        file="--regions",
                        expected="a BED file",
                        found=f"no such file: {bed.name}",
                        action="a region itself, such as chr1:1-2000, is given to --region",
                    )
                )
            return read_targets(bed, lengths=lengths, aliases=store.rules.aliases, setting="--regions").regions
        return (store.parse_region(self.region),) if self.region is not None else None
