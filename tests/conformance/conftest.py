"""Fixtures of the tests on real gVCFs."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store
from baekman.gvcf.thresholds import Thresholds
from support.dense_cohort import GENOME
from support.ground import Ground, fifty_gvcfs, ground_of_fifty
from support.store_tools import block, gvcf_text, line, reference_from_gvcfs, write_reference


@pytest.fixture(scope="session")
def ground(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Return the ground of fifty real gVCFs of one region."""
    return ground_of_fifty(tmp_path_factory.mktemp("laws"), shared_data)


@pytest.fixture(scope="session")
def fifty(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of the 50 real gVCFs in three batches."""
    folder = tmp_path_factory.mktemp("fifty")
    gvcfs = fifty_gvcfs(shared_data)
    reference = reference_from_gvcfs(gvcfs, folder / "ref.fa", contigs=["chr22"])
    store = create_store(folder / "cohort", reference=reference)
    for batch in range(3):
        members = [Member(participant_id=path.name.split(".")[0], gvcf=str(path)) for path in gvcfs[batch::3]]
        add_batch(store, batch=f"b{batch}", members=members)
    return folder / "cohort"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three participants: an SNV and an indel at one position, 1/2, a spanning deletion, haploid, phased, weak."""
    folder = tmp_path_factory.mktemp("small")
    store = create_store(
        folder / "cohort",
        reference=write_reference(folder / "ref.fa", {"c1": GENOME}),
        thresholds=Thresholds(min_gq=20),
    )
    texts = {
        "A": [
            block(1, 2, "A"),
            line(3, "G", "A,C,<NON_REF>", "1/2:50:30:0,14,16,0:500,200,300,250,0,400,600,600,600,600"),
            line(19, "TTA", "T,<NON_REF>", "0/1:40:20:11,9,0:40,0,200,300,300,300"),
            block(22, 40, "G"),
        ],
        "B": [
            block(1, 18, "A", gq=12),
            line(19, "T", "A,<NON_REF>", "1/1:30:10:0,10,0:300,30,0,400,400,400"),
            line(20, "T", "C,<NON_REF>", "0|1:99:30:15,15,0:99,0,99,400,400,400:20", format="GT:GQ:DP:AD:PL:PS"),
            block(21, 40, "A"),
        ],
        "C": [
            line(3, "G", "C,<NON_REF>", "1:60:12:0,12,0:300,0,500"),
            line(4, "T", "<NON_REF>", "0:30:50:28", info="END=19", format="GT:DP:GQ:MIN_DP"),
            line(20, "T", "G,<NON_REF>", "0/1:9:3:2,1,0:9,0,50,99,99,99"),
        ],
    }
    members = []
    for name, lines in texts.items():
        path = folder / f"{name}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={"c1": len(GENOME)}, sample=name))
        members.append(Member(participant_id=name, gvcf=str(path)))
    add_batch(store, batch="b", members=members)
    return folder / "cohort"
