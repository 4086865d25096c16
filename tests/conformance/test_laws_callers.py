"""The laws of the cohort store on gVCFs of GATK, on two builds, of DeepVariant and DeepTrio, and haploid ones."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pysam
import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import numbers, read_snapshot
from baekman.cohort.store import Store
from baekman.cohort.verify.gvcfs import compare_gvcfs
from baekman.cohort.verify.whole import verify
from baekman.engine.local import Engine
from baekman.export.write import Content, export
from support.ground import Ground
from support.state_oracle import Record, alleles_of, answer, read_records
from support.store_tools import implied_bases, write_reference

GVCFS = {
    "GRCh37": {
        "GATK": "gatk_NA12878/NA12878.prod.chr20snippet.g.vcf.gz",
        "DV": "deepvariant/deepvariant/golden.postprocess_gvcf_output.g.vcf",
        "DVHAPLOID": "deepvariant/deepvariant/golden.haploid_chr20.postprocess_gvcf_output.g.vcf",
        "DVMEDIAN": "deepvariant/deepvariant/golden.postprocess_gvcf_output.med_dp.g.vcf",
        "DT": "deepvariant/deeptrio/golden.postprocess_gvcf_output.g.vcf",
    },
    "GRCh38": {
        "WHOLE": "gatk_HG00268/HG00268.g.vcf.gz",
        "FILTERED": "gatk_HG00268/has_filter.g.vcf.gz",
        "NONREF": "gatk_HG00268/non_ref_call.g.vcf.gz",
    },
}
ALIASES = {"GRCh37": {"chr20": "20"}, "GRCh38": {}}


@dataclass(frozen=True)
class Build:
    """The gVCFs of one build on their ground, and the bases of its reference."""

    ground: Ground
    bases: Mapping[str, str]

    @cached_property
    def records(self) -> dict[tuple[str, str], Near]:
        """The records of each participant on each contig of the reference, read slowly."""
        read = {}
        for member in self.ground.members:
            with pysam.VariantFile(member.gvcf) as gvcf:
                inside = set(gvcf.header.contigs)
            for contig, bases in self.bases.items():
                names = [name for name in (contig, *self.ground.rules.aliases) if name in inside]
                records = read_records(Path(member.gvcf), bases, names[0]) if names else []
                read[member.participant_id, contig] = Near(records)
        return read


@pytest.fixture(scope="module", params=sorted(GVCFS))
def build(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return the gVCFs of a build."""
    name: str = request.param
    aliases = ALIASES[name]
    gvcfs = {participant: shared_data / "gvcf" / path for participant, path in GVCFS[name].items()}
    members = [Member(participant_id=participant, gvcf=str(path)) for participant, path in gvcfs.items()]
    bases: dict[str, str] = {}
    for path in gvcfs.values():
        for contig, implied in implied_bases([path]).items():
            contig = aliases.get(contig, contig)
            bases[contig] = either(bases.get(contig, ""), implied)
    folder = tmp_path_factory.mktemp(name)
    reference = write_reference(folder / "ref.fa", bases)
    return Build(Ground(folder, members, reference=reference, aliases=aliases), bases)


def either(first: str, second: str) -> str:
    """Return ``first``, with the bases of ``second`` where ``first`` has N or has ended."""
    length = max(len(first), len(second))
    known, other = (np.frombuffer(bases.ljust(length, "N").encode(), np.uint8) for bases in (first, second))
    return np.where(known != ord("N"), known, other).tobytes().decode()


@pytest.fixture(scope="module")
def ground(build: Build) -> Ground:
    """Return the ground of a build."""
    return build.ground


@pytest.fixture(scope="module")
def whole(ground: Ground) -> Store:
    """Everyone, in one batch."""
    store = ground.store()
    add_batch(store, batch="all", members=ground.members)
    return store


@pytest.fixture(scope="module")
def expected(ground: Ground, whole: Store) -> dict[str, str]:
    """Return the freeze of everyone, in one batch."""
    return ground.frozen(whole)


def test_adding_reads_no_older_batch_and_gives_the_bytes_of_one(ground: Ground, expected: dict[str, str]) -> None:
    """Laws 1 and 2: batches of one, in another order, the older ones out of reach, by two workers."""
    store = ground.store()
    away = ground.folder / f"away-{ground.made}"
    away.mkdir()
    for number, member in enumerate(reversed(ground.members)):
        add_batch(store, batch=f"b{number}", members=[member], engine=Engine(workers=2))
        store.batch(f"b{number}").rename(away / f"b{number}")
    for batch in away.iterdir():
        batch.rename(store.batch(batch.name))
    assert ground.frozen(store, engine=Engine(workers=2)) == expected
    assert rewrite.compact(store).participants == len(ground.members)
    assert ground.frozen(store) == expected


def test_after_a_withdrawal_they_had_never_been_there(ground: Ground) -> None:
    """Law 3."""
    store = ground.store()
    add_batch(store, batch="first", members=ground.members[:2])
    add_batch(store, batch="second", members=ground.members[2:])
    gone = ground.members[0]
    snapshot = rewrite.withdraw(store, [gone.participant_id])
    assert numbers(store) == [snapshot.number]
    assert ground.frozen(store) == ground.from_scratch(ground.members[1:])
    named = [
        path for path in store.path.rglob("*") if path.is_file() and gone.participant_id.encode() in path.read_bytes()
    ]
    assert named == []


def test_a_kill_loses_nothing(ground: Ground, expected: dict[str, str]) -> None:
    """Law 4."""
    store = ground.store()
    add_batch(store, batch="first", members=ground.members[:1])
    moments = random.Random(7)
    for _ in range(3):
        process = multiprocessing.get_context("fork").Process(
            target=add_batch, args=(store,), kwargs={"batch": "second", "members": ground.members[1:]}
        )
        process.start()
        time.sleep(moments.uniform(0.05, 1.0))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        assert [entry.name for entry in read_snapshot(store).batches] in (["first"], ["first", "second"])
    add_batch(store, batch="second", members=ground.members[1:])
    assert ground.frozen(store) == expected


def test_the_store_verifies_and_agrees_with_the_gvcfs(ground: Ground, whole: Store) -> None:
    """Laws 5 and 6, by the store's own proof."""
    assert verify(whole) == []
    assert compare_gvcfs(whole, ground.members) == []


@pytest.mark.parametrize("mode", ["called", "raw"])
def test_the_export_agrees_with_the_gvcfs_and_counts_its_genotypes(
    build: Build, whole: Store, tmp_path: Path, mode: str
) -> None:
    """Laws 5 and 6, by a slow reading: everybody's genotypes at some hundred alleles."""
    export(whole, read_snapshot(whole), format="bcf", output=tmp_path / "x.bcf", content=Content(mode=mode))
    lines = list(pysam.VariantFile(str(tmp_path / "x.bcf")))
    step = max(len(lines) // 150, 1)
    compared = named = 0
    for (participant, contig), records in build.records.items():
        own = alleles_of(records.records)
        for number, line in enumerate(lines):
            allele = (line.pos, line.ref, line.alts[0])
            if line.chrom != contig or (number % step and not (allele in own and len(own) < 100)):
                continue
            state, copies = answer(records.at(line.pos), allele, raw=mode == "raw")
            genotype = line.samples[participant]["GT"]
            assert (None if None in genotype else sum(genotype)) == copies, (participant, allele, state)
            compared += 1
            named += allele in own
    for line in lines:
        genotypes = [allele for call in line.samples.values() for allele in call["GT"] if allele is not None]
        assert (line.info["AC"], line.info["AN"]) == ((sum(genotypes),), len(genotypes))
    assert compared > 300 and named > 50


class Near:
    """The records of a gVCF that may touch a position, found by thousands of bases."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.bins: dict[int, list[Record]] = {}
        for record in records:
            # an allele may slide to the left of its record
            for bin_ in range((record.start - 200) // 1000, record.end // 1000 + 1):
                self.bins.setdefault(bin_, []).append(record)

    def at(self, pos: int) -> list[Record]:
        """Return the records that may touch ``pos``."""
        return self.bins.get(pos // 1000, [])
