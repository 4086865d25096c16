"""Generated cohorts: however they are divided, ordered, added, withdrawn from and merged, the sites are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.generated_gvcfs import CONTIGS, gvcfs
from support.store_tools import gvcf_text, hashes, line, write_reference


def new_store(folder: Path, reference: Path) -> Store:
    table = ["shard\tcontig\tstart\tend"]
    for contig, bases in CONTIGS.items():
        for start, end in ((1, 70), (71, len(bases))):
            table.append(f"{len(table) - 1:05d}\t{contig}\t{start}\t{end}")
    (folder / "shards.tsv").write_text("\n".join(table) + "\n")
    number = sum(1 for _ in folder.glob("cohort-*"))
    return create_store(folder / f"cohort-{number}", reference=reference, shards_file=folder / "shards.tsv")


def sites(store: Store) -> dict[str, str]:
    return hashes(store.sites(read_snapshot(store).number))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(people=st.lists(gvcfs(), min_size=2, max_size=5), data=st.data())
def test_sites_do_not_depend_on_how_the_cohort_came_together(
    tmp_path_factory: pytest.TempPathFactory, people: list[list[str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("generated")
    reference = write_reference(folder / "ref.fa", CONTIGS)
    members = []
    for number, lines in enumerate(people):
        path = folder / f"{number}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={name: len(bases) for name, bases in CONTIGS.items()}))
        members.append(Member(participant_id=f"P{number}", gvcf=str(path)))
    gone = data.draw(st.sets(st.sampled_from([member.participant_id for member in members]), max_size=2))
    stays = [member for member in members if member.participant_id not in gone]

    whole = new_store(folder, reference)
    add_batch(whole, batch="all", members=members)
    divided = new_store(folder, reference)
    order = data.draw(st.permutations(members))
    cut = data.draw(st.integers(1, len(order) - 1))
    add_batch(divided, batch="second", members=order[cut:])
    add_batch(divided, batch="first", members=order[:cut])
    assert sites(divided) == sites(whole)
    rewrite.compact(divided)
    assert sites(divided) == sites(whole)
    if gone and stays:
        never = new_store(folder, reference)
        add_batch(never, batch="all", members=stays)
        for store in (whole, divided):
            rewrite.withdraw(store, sorted(gone))
            assert sites(store) == sites(never)


def test_the_roster_counts_the_records(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "ref.fa", {"c1": "ACGTACGTAC" * 10, "c2": "A" * 10, "X": "A" * 10})
    path = tmp_path / "one.g.vcf"
    lines = [
        line(1, "A", "T", "0/1:40:22:11,11:45,0,42,7"),
        line(1, "A", "T", "0/1:30:22:11,11:45,0,42"),
        line(5, "A", "T", "0/1:40:22:11,11:45,0,42", filter="LowQual"),
    ]
    path.write_text(gvcf_text(lines, contigs={"c1": 100}))
    store = create_store(tmp_path / "cohort", reference=reference)
    add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(path), sex="female")])
    roster, filters = read_roster(store, "b1")
    (row,) = roster.to_pylist()
    assert filters == ["LowQual"]
    assert (row["participant_id"], row["sex"], row["records"], row["call_rows"]) == ("P1", "female", 3, 2)
    assert (row["contradicting_fields"], row["duplicate_alleles"]) == (1, 1)
