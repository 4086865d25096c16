"""Refusals of the cohort commands other than of gVCFs: exit 3, the option or file with its fault, nothing made."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from baekman.cli.shared.opening import BARE
from baekman.cohort.schema import SCHEMA_VERSION
from baekman.cohort.store import Store, create_store
from baekman.errors import InputRefused
from baekman.genome.shards import check_tiling, read_shards
from baekman.gvcf.thresholds import GvcfRules, Thresholds
from support.store_tools import baekman, write_reference


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_reference(tmp_path / "ref.fa", {"c1": "ACGT" * 10, "c2": "ACGT" * 10})


@pytest.fixture
def store(tmp_path: Path, reference: Path) -> Store:
    return create_store(tmp_path / "cohort", reference=reference)


@pytest.mark.parametrize(
    "words",
    [
        ("query", "--region", "c1:1-9"),
        ("query", "--carriers", "c1:1:A:G"),
        ("query", "--region", "c1", "--by", "sex"),
        ("query", "--sql", "SELECT count(*) FROM calls JOIN sites USING (contig, pos, ref, alt)"),
        ("cohort", "report", "--output", "report.html"),
    ],
)
def test_a_cohort_without_a_batch_has_no_answers(store: Store, words: tuple[str, ...]) -> None:
    done = baekman(*words, "--cohort", store.path, check=False, cwd=store.path.parent)
    assert done.returncode == 3
    assert done.stderr == ("refused: cohort: expected a snapshot, found none; add a batch with `baekman cohort add`\n")


@pytest.mark.parametrize("bands", [(5, 20), (0, 20, 10), (0, 0), (0, 100), ()])
def test_bands_that_do_not_tile_gq_are_refused(tmp_path: Path, reference: Path, bands: tuple[int, ...]) -> None:
    with pytest.raises(InputRefused) as refused:
        create_store(tmp_path / "cohort", reference=reference, thresholds=Thresholds(gq_bands=bands))
    assert str(refused.value) == (
        "cohort.gq_bands: expected lower borders that begin with 0 and rise to at most 99, "
        f"found {', '.join(map(str, bands))}"
    )
    assert not (tmp_path / "cohort").exists()


def test_aliases_of_no_contig_and_of_contigs_are_refused(tmp_path: Path, reference: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        create_store(tmp_path / "cohort", reference=reference, rules=GvcfRules(aliases={"1": "chr1", "c1": "c2"}))
    assert str(refused.value).splitlines() == [
        "cohort.contig_aliases: alias 1: expected the name of a contig of the reference, found 'chr1'",
        "cohort.contig_aliases: alias c1: expected a name that no contig of the reference has, "
        "found one of its contigs",
    ]


def test_a_number_may_be_an_alias(tmp_path: Path, reference: Path) -> None:
    """YAML reads ``1: c1`` as a number; the same command opens the store again."""
    (tmp_path / "config.yaml").write_text("reference: ref.fa\ncohort:\n  contig_aliases: {1: c1}\n")
    for _ in range(2):
        baekman(
            *("cohort", "init", "--cohort", tmp_path / "cohort", "--reference", reference),
            *("--config", tmp_path / "config.yaml"),
        )


def test_a_shard_table_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    path = tmp_path / "shards.tsv"
    for content in (None, b"\xff\xfe"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputRefused) as refused:
            read_shards(path)
        assert str(refused.value) == "shards.tsv: expected a shard table, found no file that can be read as UTF-8 text"


def test_shards_that_name_no_file_or_lie_apart(tmp_path: Path) -> None:
    path = tmp_path / "shards.tsv"
    head = "shard\tcontig\tstart\tend\n"
    path.write_text(f"{head}../0\tc1\t1\t40\n1\tc1\t²\t40\n")
    with pytest.raises(InputRefused) as refused:
        read_shards(path)
    assert str(refused.value).splitlines() == [
        "shards.tsv: line 2: expected a shard's name of letters, digits, '.', '_' or '-' that can name a file, "
        "found something else",
        "shards.tsv: line 3: expected shard, contig, start and end separated by tabs, "
        "found a start or end that is no number",
    ]
    path.write_text(f"{head}0\tc1\t1\t20\n1\tc2\t1\t40\n2\tc1\t21\t40\n")
    with pytest.raises(InputRefused) as refused:
        check_tiling(read_shards(path), {"c1": 40, "c2": 40}, file="shards.tsv")
    assert str(refused.value) == (
        "shards.tsv: contig c1: expected its shards one after the other, found those of another contig between them"
    )


def test_a_reference_that_cannot_be_indexed_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.fa").write_text("no FASTA\n")
    done = baekman("cohort", "init", "--cohort", tmp_path / "c", "--reference", tmp_path / "bad.fa", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "refused: bad.fa: expected a FASTA that samtools faidx can index, found one that it cannot; "
        "compress with bgzip, not gzip, or leave it plain\n"
    )


@pytest.mark.parametrize("changed", ["longer contig", "other lines", "another contig", "compressed"])
def test_an_index_of_other_bases_than_those_of_the_fasta_is_refused(tmp_path: Path, changed: str) -> None:
    texts = {
        "longer contig": (">c1\nACGTACGT\n>c2\nGGGG\n", ">c1\nACGTAACCGGTT\n>c2\nGGGG\n"),
        "other lines": (">c1\nACGTACGT\n>c2\nGGGG\n", ">c1\nACGT\nACGT\n>c2\nGGGG\n"),
        "another contig": (">c1\nACGTACGT\n", ">c1\nACGTACGT\n>c2\nGGGG\n"),
        "compressed": (">c1\n" + "ACGT" * 50_000 + "\n", ">c1\n" + "A" * 200_000 + "\n"),
    }
    plain, fasta = tmp_path / "text", tmp_path / ("r.fa.gz" if changed == "compressed" else "r.fa")
    for text in texts[changed]:
        plain.write_text(text)
        if changed == "compressed":
            pysam.tabix_compress(str(plain), str(fasta), force=True)
        else:
            plain.replace(fasta)
        if text == texts[changed][0]:
            pysam.faidx(str(fasta))
            indexes = {path: path.read_bytes() for path in tmp_path.glob("r.fa*i")}
    if changed == "compressed":  # equal columns of the .fai: the .gzi tells other blocks
        last = bytearray(indexes[tmp_path / "r.fa.gz.gzi"])
        last[-8] ^= 1
        (tmp_path / "r.fa.gz.gzi").write_bytes(last)
    with pytest.raises(InputRefused) as refused:
        create_store(tmp_path / "c", reference=fasta)
    name = "r.fa.gz.gzi" if changed == "compressed" else "r.fa.fai"
    assert str(refused.value) == (
        f"{name}: expected the index of {fasta.name}, found that of other bases: the FASTA has changed since; "
        "delete it, or make it again with samtools faidx"
    )
    for path in indexes:
        path.unlink()
    create_store(tmp_path / "c", reference=fasta)
    create_store(tmp_path / "d", reference=fasta)  # with the index that the first made


@pytest.mark.parametrize("command", ["export", "query"])
def test_an_empty_region_is_not_the_whole_genome(store: Store, tmp_path: Path, command: str) -> None:
    options = ["--format", "vcf", "--output", tmp_path / "x.vcf"] if command == "export" else []
    done = baekman(command, "--cohort", store.path, "--region", "", *options, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "refused: --region: expected a contig of the store's reference (c1, c2), or contig:start-end, found ''; "
        "e.g. c1:1000-2000\n"
    )


def test_an_answer_to_a_query_is_all_output(store: Store) -> None:
    done = baekman("query", "--cohort", store.path, "--sql", "SELECT 1 AS one", "--format", "csv")
    assert (done.stdout, done.stderr) == ('"one"\n1\n', f"{BARE}\n")


def test_a_file_of_participants_that_is_not_there(store: Store, tmp_path: Path) -> None:
    done = baekman(
        *("tables", "--cohort", store.path, "--output", tmp_path / "t", "--participants", f"@{tmp_path / 'ids'}"),
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert (
        done.stderr == "refused: ids: expected a file with an ID per line, found none that can be read as UTF-8 text\n"
    )


def test_a_file_is_no_cohort(reference: Path) -> None:
    for command, message in (
        (
            ("snapshots",),
            "expected a cohort store, found a file; "
            "create one with: baekman cohort init --cohort DIR --reference REF.fa",
        ),
        (("init", "--reference", reference), "expected an empty or new folder, found other files"),
    ):
        done = baekman("cohort", *command, "--cohort", reference, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", f"refused: ref.fa: {message}\n")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "V"}', '{"schema": "V", "thresholds": {"gq_bands": 1}}'])
def test_a_store_with_a_bad_description_is_refused(store: Store, text: str) -> None:
    (store.path / "store.json").write_text(text.replace("V", SCHEMA_VERSION))
    done = baekman("cohort", "snapshots", "--cohort", store.path, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "refused: store.json: expected the description of a store, found something else; restore it from a copy\n"
    )


def test_a_withdrawal_needs_a_possible_id(store: Store) -> None:
    done = baekman("cohort", "withdraw", "P1", "Kim Minsu", "--cohort", store.path, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "refused: participants: entry 2: expected letters, digits, '.', '_' or '-', at most 64, beginning with "
        "a letter or digit, found something else\n"
    )
