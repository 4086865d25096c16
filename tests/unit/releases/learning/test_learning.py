"""Law 8: nobody is in two splits, no relatives are across splits; the forms are read by the tools of their formats."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.arrow import write_parquet
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import open_store
from baekman.engine.local import Engine
from baekman.files.digests import LIST, digests_of, write_digests, write_sealed
from baekman.pseudonyms import ALPHABET
from baekman.relatedness.schema import KINSHIP, PAIRS
from baekman.relatedness.stored import NOTE, folder_of
from baekman.releases.families import family_of
from baekman.releases.learning.splits import OTHER, family_numbers, institution_numbers, split_table
from baekman.releases.package.build import build_release
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_release import PEOPLE, small_release

HAS_PLINK2 = shutil.which("plink2") is not None
LETTERS = np.random.default_rng(11).integers(0, 32, (2000, 13))
PROJECT_IDS = np.sort(np.array(["X" + "".join(ALPHABET[letter] for letter in row) for row in LETTERS.tolist()], "S14"))


@settings(max_examples=10, deadline=None)
@given(
    families=st.dictionaries(st.integers(0, 39), st.integers(0, 7)),
    institutions=st.lists(st.sampled_from(["1", "2", OTHER]), min_size=40, max_size=40),
)
def test_nobody_is_in_two_splits_and_no_relatives_are_across(families: dict[int, int], institutions: list[str]) -> None:
    family = family_numbers(families, members=40)
    rows = split_table(PROJECT_IDS[:40], family=family, institution=institutions).to_pylist()
    assert [row["sample"] for row in rows] == list(range(40))
    for column in ("split", *(name for name in rows[0] if name.startswith("without_institution_"))):
        for first in families:
            for second in families:
                if families[first] == families[second]:
                    parts = {rows[first][column], rows[second][column]} - {"excluded"}
                    assert len(parts) <= 1
    for row, place in zip(rows, institutions, strict=True):
        for number in {*institutions} - {OTHER}:
            assert (row[f"without_institution_{number}"] == "held_out") == (place == number)


def splits_of(package: Path) -> list[str]:
    ids: list[str] = pq.read_table(package / "splits.parquet")["project_id"].to_pylist()
    return ids


def require_pgen_of(package: Path, matrices: list[pa.Table], *, project_ids: list[str], folder: Path) -> None:
    """Require that plink2 reads the ``matrices`` from the pgen files, with samples by project ID, and nothing else."""
    files = {path.name for path in (package / "pgen").iterdir()}
    names = ["0000_c1_1_60", "0001_c1_100_120"]
    assert files == {f"{name}{ending}" for name in names for ending in (".pgen", ".pvar", ".psam")}
    sexes = dict(zip(project_ids, pq.read_table(package / "participants.parquet")["sex"].to_pylist(), strict=True))
    for name, matrix in zip(names, matrices, strict=True):
        prefix = package / "pgen" / name
        assert prefix.with_suffix(".psam").read_text().splitlines() == [
            "#IID\tSEX",
            *(f"{project_id}\t{2 if sexes[project_id] == 'female' else 1}" for project_id in project_ids),
        ]
        variants = prefix.with_suffix(".pvar").read_text().splitlines()
        rows = matrix.to_pylist()
        assert variants == [
            "#CHROM\tPOS\tID\tREF\tALT",
            *(
                "\t".join(
                    [r["contig"], str(r["pos"]), f"{r['contig']}:{r['pos']}:{r['ref']}:{r['alt']}", r["ref"], r["alt"]]
                )
                for r in rows
            ),
        ]
        command = ["plink2", "--pfile", str(prefix), "--allow-extra-chr", "--export", "A-transpose", "--silent"]
        subprocess.run([*command, "--out", str(folder / name)], check=True)
        header, *lines = (folder / f"{name}.traw").read_text().splitlines()
        assert header.split("\t")[6:] == [f"0_{project_id}" for project_id in project_ids]
        for line, row in zip(lines, rows, strict=True):
            counted, values = line.split("\t")[4], line.split("\t")[6:]
            copies = [-1 if value == "NA" else int(value) for value in values]
            if counted == row["ref"]:
                copies = [value if value < 0 else 2 - value for value in copies]
            assert copies == row["joint_copies"]


def test_splits_have_their_shares_and_institutions_of_few_are_others() -> None:
    alone = np.arange(len(PROJECT_IDS))
    counts = Counter(split_table(PROJECT_IDS, family=alone, institution=[OTHER] * 2000)["split"].to_pylist())
    assert abs(counts["train"] - 1600) < 80 and abs(counts["tuning"] - 200) < 50 and abs(counts["held_out"] - 200) < 50
    numbers = institution_numbers(["a"] * 11 + ["b"] * 30 + ["c"] * 10 + [None], threshold=11)
    assert numbers == {"b": "1", "a": "2"}


def write_relatives(workspace: Path, first: str, second: str) -> None:
    """Write the pair as ``baekman cohort relatedness`` writes it."""
    store = open_store(workspace / "cohort")
    folder = folder_of(store, read_snapshot(store))
    row = dict(zip(PAIRS.names, (*sorted((first, second)), 0.25, 1, 0.0, 0.1, 9), strict=True))
    folder.mkdir(parents=True)
    write_parquet(pa.Table.from_pylist([row], PAIRS), folder / KINSHIP)
    write_digests(folder / LIST, digests_of(folder, [folder / KINSHIP]))
    write_sealed(folder / NOTE, {"snapshot": 1})


def require_croissant(package: Path) -> None:
    """Require of croissant.json what mlcroissant 1.1.1 asked for when it validated and read a package by hand.

    Each term has an entry in the context; each record set has the columns of all its files.
    """
    description = json.loads((package / "croissant.json").read_text())
    context = description.pop("@context")
    assert description["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    of_schema_org = {"name", "description", "license", "url", "version", "datePublished", "distribution"}
    of_schema_org |= {"contentUrl", "encodingFormat", "sha256"}
    terms = keys_in(description) - of_schema_org - {"@id", "@type", "dataType", "conformsTo"}
    assert {term: context.get(term) for term in terms} == {term: f"cr:{term}" for term in terms}
    parts = {part["@id"]: part for part in description["distribution"]}
    files = {name for name, part in parts.items() if part["@type"] == "cr:FileObject"}
    assert files == {path.relative_to(package).as_posix() for path in package.rglob("*.parquet")}
    assert {part["encodingFormat"] for part in parts.values()} == {"application/x-parquet"}
    described = set()
    for record in description["recordSet"]:
        (source,) = {json.dumps(field["source"] | {"extract": ""}) for field in record["field"]}
        place = next(each for name, each in json.loads(source).items() if name != "extract")["@id"]
        own = {place} & files or {
            path.relative_to(package).as_posix() for path in package.glob(parts[place]["includes"])
        }
        for name in own:
            columns = pq.read_schema(package / name).names
            assert columns == [field["name"] for field in record["field"]]
            assert columns == [field["source"]["extract"]["column"] for field in record["field"]]
        described |= own
    assert described == files


def keys_in(value: object) -> set[str]:
    """Return the keys of all objects in a JSON value."""
    if isinstance(value, list):
        return set[str]().union(*map(keys_in, value))
    return value.keys() | keys_in([*value.values()]) if isinstance(value, dict) else set()


def test_a_release_for_learning_is_valid_meds_with_matrices_and_croissant(tmp_path: Path) -> None:
    meds = pytest.importorskip("meds")
    small = small_release(tmp_path)
    first, second = small.participants[:2]
    assert family_of(small.workspace) == {}
    write_relatives(small.workspace, first, second)
    assert family_of(small.workspace) == dict.fromkeys(sorted((first, second)), min(first, second))
    home = small.approve(
        small.propose(shape="meds", genotypes="dense", pgen=HAS_PLINK2, regions=["c1:1-60", "c1:100-120"])
    )
    package = build_release(small.workspace, home.id, registry=small.registry, engine=Engine())
    data = sorted((package / "meds" / "data").glob("*/*.parquet"))
    subjects: dict[int, str] = {}
    rows = 0
    for path in data:
        table = pq.read_table(path)
        meds.DataSchema.validate(table.replace_schema_metadata(None))
        rows += table.num_rows
        for subject in set(table["subject_id"].to_pylist()):
            assert subject not in subjects
            subjects[subject] = path.parent.name
        assert table["subject_id"].to_pylist() == sorted(table["subject_id"].to_pylist())
    assert rows == PEOPLE * 3  # two events and the sex of each
    splits = pq.read_table(package / meds.subject_splits_filepath.replace("metadata", "meds/metadata"))
    meds.SubjectSplitSchema.validate(splits.replace_schema_metadata(None))
    assert dict(zip(splits["subject_id"].to_pylist(), splits["split"].to_pylist(), strict=True)) == subjects
    meds.CodeMetadataSchema.validate(
        pq.read_table(package / "meds/metadata/codes.parquet").replace_schema_metadata(None)
    )
    meds.DatasetMetadataSchema.validate(json.loads((package / "meds/metadata/dataset.json").read_text()))
    # a matrix has what the rows have
    variants, sites = (pq.read_table(package / name / "00000.parquet").to_pylist() for name in ("variants", "sites"))
    matrices = [pq.read_table(path) for path in sorted((package / "dosages").iterdir())]
    assert [table["pos"].to_pylist() for table in matrices] == [
        [site["pos"] for site in sites if site["pos"] <= 60],
        [site["pos"] for site in sites if site["pos"] >= 100],
    ]
    matrix = np.concatenate([np.stack(table["joint_copies"].to_numpy(zero_copy_only=False)) for table in matrices])
    for row in variants:
        copies = -1 if row["joint_copies"] is None else row["joint_copies"]
        assert matrix[row["site"], row["sample"]] == copies
    if HAS_PLINK2:
        require_pgen_of(package, matrices, project_ids=splits_of(package), folder=tmp_path)
    require_croissant(package)
    relatives = pq.read_table(package / "splits.parquet").to_pylist()
    assert {row["institution"] for row in relatives} == {"1", "2"}
    assert [row["without_institution_1"] for row in relatives].count("excluded") == 1
