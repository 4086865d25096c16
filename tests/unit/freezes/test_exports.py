"""A freeze gives the exports, genotypes and counts of the cohort that it was made of, without store or workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import baekman
import numpy as np
import pyarrow as pa
import pytest
from baekman.annotation.annotate import annotate
from baekman.annotation.copies import copy_annotations
from baekman.annotation.sources import Sources
from baekman.arrow import read_parquet, write_parquet
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.schema import TABLES
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import create_store
from baekman.errors import InputRefused
from baekman.freezes import freeze as writing
from baekman.freezes import unpacked
from baekman.freezes.freeze import freeze
from baekman.freezes.reading import open_freeze
from baekman.freezes.verification import notes_on, verify_freeze
from baekman.freezes.withdrawal import leave_freeze
from baekman.query.frozen import FreezeAccess
from baekman.query.question import Question
from baekman.tables import make
from baekman.tables.keys import create as create_keys
from baekman.tables.keys import destroy
from baekman.workspace.denied import mark_withdrawn
from baekman.workspace.paths import Workspace
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dense_cohort import GENOME, gvcf_lines, store_of
from support.example_workspace import LATER, PARTICIPANTS, example_genes, example_workspace
from support.store_tools import baekman as run
from support.store_tools import gvcf_text, line, write_reference

FIRST, SECOND = PARTICIPANTS
MODES = ("called", "raw", "joint")


def exported(cohort: baekman.Cohort, output: Path, **options: object) -> bytes:
    cohort.export(output, format="bcf", **options)  # type: ignore[arg-type]
    assert [path for path in output.parent.iterdir() if path.name.endswith((".freeze", ".parts"))] == []
    return output.read_bytes()


def tied() -> list[list[str]]:
    """Return participants with ties by a record and by a phase set, a half call, and one without a genotype."""
    base, both = GENOME[16], "TGG"
    fields = {"format": "GT:GQ:DP:AD"}
    phased = [line(17, base, alt, "1|0:50:30:9,8:7", format="GT:GQ:DP:AD:PS") for alt in ("T", base + "GG")]
    return [
        [line(17, base, both, "0/1:50:30:9,8", **fields)],
        phased,
        [line(17, base, "T", "./1:50:30:9,8", **fields)],
        [line(17, base, "<NON_REF>", "./.:0:3", format="GT:GQ:DP", info="END=40")],
    ]


@settings(max_examples=3, deadline=None)
@given(participants=st.lists(gvcf_lines(), min_size=1, max_size=3), batches=st.integers(1, 2))
def test_the_export_of_a_freeze_is_that_of_the_cohort(participants: list[list[str]], batches: int) -> None:
    with store_of([*participants, *tied()], batches=batches) as (store, _snapshot, paths):
        folder = paths[0].parent
        freeze(store, output=folder / "F")
        cohort, frozen = baekman.open_cohort(store.path), baekman.open_freeze(folder / "F")
        for mode, by_position in product(MODES, (False, True)):
            options = {"mode": mode, "by_position": by_position}
            assert exported(frozen, folder / "f.bcf", **options) == exported(cohort, folder / "c.bcf", **options)
        part = {"participants": ["P0", "P2"], "min_ac": 1, "region": "c1:5-40"}
        assert exported(frozen, folder / "f.bcf", **part) == exported(cohort, folder / "c.bcf", **part)
        for ours, theirs in zip(frozen.genotypes(mode="joint"), cohort.genotypes(mode="joint"), strict=True):
            assert ours.participants.equals(theirs.participants) and ours.sites.equals(theirs.sites)
            for name in ("state", "copies", "ploidy"):
                assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder with a workspace ``W`` of three participants and its freeze ``W/F``."""
    example_workspace(tmp_path)
    cohort = baekman.open_cohort(tmp_path / "W")
    cohort.add("more", tmp_path / "more.tsv")
    cohort.freeze(tmp_path / "W" / "F")
    yield tmp_path


def test_a_freeze_without_store_gives_the_files_of_the_cohort(folder: Path) -> None:
    cohort = baekman.open_cohort(folder / "W")
    expected = exported(cohort, folder / "c.bcf")
    selected = exported(cohort, folder / "d.bcf", participants=[SECOND])
    cohort.export(folder / "c.vcf", format="vcf")
    shutil.move(folder / "W" / "F", folder / "F")
    shutil.rmtree(folder / "W")
    frozen = baekman.open_cohort(folder / "F")
    assert exported(frozen, folder / "f.bcf") == expected
    (folder / "ids").write_text(f"{SECOND}\n")
    (folder / "all.bed").write_text("chr20\t0\t2500\n")
    words = ("--format", "bcf", "--participants", "@ids", "--regions", "all.bed", "--output", "g.bcf")
    run("export", "--cohort", "F", *words, cwd=folder)
    assert (folder / "g.bcf").read_bytes() == selected
    frozen.export(folder / "f.vcf", format="vcf")
    assert (folder / "f.vcf").read_bytes() == (folder / "c.vcf").read_bytes()


@pytest.mark.parametrize("way", ["withdrawn", "left"])
def test_the_export_of_a_freeze_has_nobody_who_left(way: str, folder: Path) -> None:
    """Sites count the participant still; the columns, AC and AN of the export do not."""
    kept = exported(baekman.open_cohort(folder / "W"), folder / "c.bcf", participants=[FIRST, LATER], mode="joint")
    if way == "withdrawn":
        mark_withdrawn(Workspace(folder / "W"), SECOND)
    else:
        leave_freeze(folder / "W" / "F", participant=SECOND)
    frozen = baekman.open_freeze(folder / "W" / "F")
    assert exported(frozen, folder / "f.bcf", mode="joint") == kept
    with pytest.raises(InputRefused):
        frozen.export(folder / "x.bcf", format="bcf", participants=[SECOND])


def test_counts_by_group_are_those_of_the_cohort(folder: Path) -> None:
    cohort, frozen = baekman.open_cohort(folder / "W"), baekman.open_freeze(folder / "W" / "F")
    question = Question(region="chr20", by=("sex", "batch"))
    with cohort.query(question) as ours, frozen.query(question) as theirs:
        rows = ours.fetchall()
        assert theirs.fetchall() == rows and len(rows) == 3
    with frozen.query(Question(region="chr20", by=("type",))) as relation:
        assert relation.project("type, ac").fetchall() == [("unknown", 4)]
    with (
        pytest.raises(InputRefused, match="found none of that name at chr20:1,001"),
        frozen.query(Question(carriers="chr20:1001:A:G")),
    ):
        pass


def test_counts_of_a_gene_read_the_shards_of_its_alleles_alone(tmp_path: Path) -> None:
    """The gene lies in one of the three shards of a contig."""
    reference = write_reference(tmp_path / "ref.fa", {"c1": "A" * 90})
    rows = "".join(f"0000{number}\tc1\t{30 * number + 1}\t{30 * number + 30}\n" for number in range(3))
    (tmp_path / "shards.tsv").write_text(f"shard\tcontig\tstart\tend\n{rows}")
    store = create_store(tmp_path / "cohort", reference=reference, shards_file=tmp_path / "shards.tsv")
    call = [line(pos, "A", "T", "0/1:60:30:15,15:60,0,60") for pos in (10, 50, 80)]
    (tmp_path / "1.g.vcf").write_text(gvcf_text(call, contigs={"c1": 90}))
    add_batch(store, batch="b", members=[Member(participant_id="P1", gvcf=str(tmp_path / "1.g.vcf"))])
    freeze(store, output=tmp_path / "F")
    frozen = FreezeAccess(open_freeze(tmp_path / "F"), purpose="")
    gene = pa.table({"contig": ["c1"], "pos": pa.array([50], pa.int32()), "ref": ["A"], "alt": ["T"]})
    (block,) = frozen.genotypes(region=None, without=frozenset(), alleles=gene)
    assert (block.sites["pos"].to_pylist(), block.copies.tolist()) == ([50], [[1]])


def test_a_freeze_of_nobody_has_empty_answers(tmp_path: Path) -> None:
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": "A" * 90}))
    freeze(store, output=tmp_path / "F")
    cohort, frozen = baekman.open_cohort(store.path), baekman.open_freeze(tmp_path / "F")
    assert (frozen.sites("c1:1-20").num_rows, list(frozen.genotypes("c1"))) == (0, [])
    for question in (Question(region="c1"), Question(region="c1", by=("sex",)), Question(sql="FROM sites")):
        with frozen.query(question) as answer:
            assert answer.fetchall() == []
    assert exported(frozen, tmp_path / "f.bcf") == exported(cohort, tmp_path / "c.bcf")


def test_call_rows_say_whether_they_have_a_genotype(folder: Path) -> None:
    frozen = baekman.open_freeze(folder / "W" / "F")
    assert frozen.calls(FIRST, columns=["genotyped", "called"]).to_pylist() == [{"genotyped": True, "called": True}]
    assert "flags" not in frozen.calls(FIRST).column_names


def test_the_evidence_of_an_encrypted_freeze_needs_its_keys(folder: Path) -> None:
    create_keys(folder / "W")
    cohort = baekman.open_cohort(folder / "W")
    cohort.freeze(folder / "W" / "G")
    expected = exported(cohort, folder / "c.bcf")
    assert exported(baekman.open_freeze(folder / "W" / "G"), folder / "f.bcf") == expected
    assert list(verify_freeze(folder / "W" / "G", home=folder / "W")) == []
    assert "AC and AN were counted" in notes_on(folder / "W" / "G", home=folder / "W")[0]
    shutil.copytree(folder / "W", folder / "V")
    destroy(folder / "V", SECOND)
    assert notes_on(folder / "V" / "G", home=folder / "V") == [
        "keys of 1 participant are not here: tables were compared by their bytes, AC and AN were not counted"
    ]
    shutil.move(folder / "W" / "G", folder / "G")
    with pytest.raises(InputRefused, match="found an encrypted table"):
        baekman.open_freeze(folder / "G").export(folder / "x.bcf", format="bcf")
    assert not (folder / "x.bcf").exists() and not list(folder.glob(".*"))


def test_a_freeze_of_an_earlier_version_is_read_and_gets_what_it_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = folder / "W" / "old"
    with monkeypatch.context() as earlier:
        earlier.setattr(make, "FROZEN_TABLES", TABLES)
        earlier.setattr(writing, "EVIDENCE", 1)
        baekman.open_cohort(folder / "W").freeze(output)
    frozen = baekman.open_freeze(output)
    assert frozen.calls(FIRST).num_rows == 1
    for refused in (
        lambda: frozen.export(folder / "x.bcf", format="bcf"),
        lambda: frozen.genotypes("chr20"),
        lambda: frozen.query(Question(region="chr20", by=("sex",))).__enter__(),
    ):
        with pytest.raises(InputRefused) as error:
            refused()
        assert str(error.value) == (
            "old: expected a freeze with all evidence in its tables (`flags` and `state`), found a freeze of an "
            "earlier version; `baekman cohort freeze --output` with its folder adds it while the cohort has the same "
            "participants; else write a new freeze"
        )
    run("cohort", "freeze", "--workspace", folder / "W", "--output", output, cwd=folder)
    assert list(verify_freeze(output)) == []
    assert exported(baekman.open_freeze(output), folder / "f.bcf") == exported(
        baekman.open_cohort(folder / "W"), folder / "c.bcf"
    )


def test_a_killed_export_goes_on_with_the_groups_that_are_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "GROUP", 1)
    frozen, opened = baekman.open_freeze(folder / "W" / "F"), []
    real = unpacked.open_table

    class Killed(BaseException):
        pass

    def open_table(path: Path, **options: object) -> object:
        opened.append(path.stem)
        if len(opened) == 3:
            raise Killed
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(unpacked, "open_table", open_table)
    with monkeypatch.context() as kill:
        kill.setattr(unpacked.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            frozen.export(folder / "f.bcf", format="bcf")
    frozen.export(folder / "f.bcf", format="bcf")
    assert opened == [FIRST] * 2 + [SECOND] + [SECOND] * 2 + [LATER] * 2
    assert (folder / "f.bcf").read_bytes() == exported(baekman.open_cohort(folder / "W"), folder / "c.bcf")
    assert not list(folder.glob(".*"))


# -- annotations


def annotated(folder: Path) -> baekman.Cohort:
    """Return the cohort of the workspace with annotations of its latest snapshot: the gene ALPHA."""
    cohort = baekman.open_cohort(folder / "W")
    annotate(cohort.store, Sources(genes=example_genes(folder)))
    return cohort


def test_a_freeze_has_the_annotations_of_its_snapshot(folder: Path) -> None:
    frozen = baekman.open_freeze(folder / "W" / "F")
    assert not frozen.freeze_folder.is_annotated
    with pytest.raises(InputRefused) as error, frozen.query(Question(gene="ALPHA")):
        pass
    assert str(error.value) == (
        "F: expected annotations in the freeze, found none; annotate the cohort (`baekman cohort annotate`); then "
        "`baekman cohort freeze` of the same participants into this folder adds them"
    )
    cohort = annotated(folder)
    cohort.freeze(folder / "W" / "F")
    shutil.move(folder / "W" / "F", folder / "F")
    frozen = baekman.open_freeze(folder / "F")
    for options in (
        {},
        {"participant": FIRST},
        {"by": ("sex",)},
        {"carriers": "all"},
        {"annotations": True},
    ):
        question = Question(gene="alpha", **options)  # type: ignore[arg-type]
        with cohort.query(question) as ours, frozen.query(question) as theirs:
            columns = [name for name in ours.columns if name in theirs.columns and name != "caller_filter"]
            assert {"gene", "consequence"} <= set(columns)
            rows = ours.project(", ".join(columns)).fetchall()
            assert theirs.project(", ".join(columns)).fetchall() == rows != []
    sql = "SELECT gene, count(*) FROM annotations JOIN calls USING (contig, pos, ref, alt) GROUP BY ALL"
    assert frozen.sql(sql).fetchall() == [("ALPHA", 3)]
    with pytest.raises(InputRefused, match="--gene: expected one that an allele of the cohort has, found none"):
        frozen.query(Question(gene="BETA")).__enter__()
    assert list(verify_freeze(folder / "F")) == []
    listed = {row.split("  ")[1] for row in (folder / "F" / "SHA256SUMS").read_text().splitlines()}
    assert {"annotations/00000.parquet", "annotations/sources.json"} <= listed
    assert "annotations/*.parquet\tgene\tstring" in (folder / "F" / "dictionary.tsv").read_text()
    (folder / "F" / "annotations" / "00000.parquet").write_bytes(b"x")
    (finding,) = verify_freeze(folder / "F")
    assert finding.startswith("annotations/00000.parquet: another SHA-256 than when it was written")


def test_a_freeze_without_a_participant_has_the_annotations_of_its_own_alleles(folder: Path) -> None:
    store = annotated(folder).store
    mark_withdrawn(Workspace(folder / "W"), SECOND)
    baekman.open_cohort(folder / "W").freeze(folder / "W" / "G")
    assert list(verify_freeze(folder / "W" / "G")) == []
    (whole,) = (store.path / "annotations").glob("*/00000.parquet")
    assert (folder / "W" / "G" / "annotations" / "00000.parquet").read_bytes() == whole.read_bytes()
    for place in (folder / "fewer", folder / "copy"):
        place.mkdir()
    write_parquet(read_parquet(store.sites(2) / "00000.parquet").slice(0, 0), folder / "fewer" / "00000.parquet")
    copy_annotations(store, read_snapshot(store), folder / "copy", sites=folder / "fewer")
    copied = read_parquet(folder / "copy" / "00000.parquet")
    assert copied.num_rows == 0 and copied.schema.equals(read_parquet(whole).schema, check_metadata=True)
