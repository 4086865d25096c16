"""Annotations of alleles: against bcftools of the machine, by increments, and after a withdrawal."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from baekman import open_cohort
from baekman.annotation import annotate as annotating
from baekman.annotation.annotate import annotate
from baekman.annotation.consequences import parsed
from baekman.annotation.schema import RANK
from baekman.annotation.sources import Sources
from baekman.annotation.stored import damaged_annotations, read_annotations
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.errors import InputRefused
from baekman.query.ask import ask
from baekman.query.question import EVERY_ALLELE, Question
from support.kills import Killed, killed
from support.store_tools import gvcf_text, line, write_reference

CODONS = ("GCT", "AAA", "CTG", "GAT", "TGG", "CGT")
EXONS = ((1001, 1300), (1601, 1900), (2201, 2500))  # 100 codons each
LENGTH = 4000


def _bases(seed: int) -> str:
    """Return a contig with a gene on the forward strand: a start, codons and a stop in ``EXONS``."""
    chosen = random.Random(seed)
    bases = chosen.choices("ACGT", k=LENGTH)
    coding = "".join(["ATG", *chosen.choices(CODONS, k=298), "TAA"])
    for number, (start, end) in enumerate(EXONS):
        bases[start - 1 : end] = coding[300 * number : 300 * number + 300]
        bases[end : end + 2], bases[start - 3 : start - 1] = "GT", "AG"
    return "".join(bases)


CONTIGS = {"chr1": _bases(1), "chr2": _bases(2), "chrM": _bases(3)}


def _gff3(names: Sequence[str] = ("1", "2", "MT")) -> str:
    rows = ["##gff-version 3"]
    for number, name in enumerate(names, start=1):
        gene, start, end = f"G{number}", EXONS[0][0], EXONS[-1][1]
        kinds = [
            ("gene", start, end, ".", f"ID=gene:{gene};Name=ALPHA{number};biotype=protein_coding;gene_id={gene}"),
            ("mRNA", start, end, ".", f"ID=transcript:T{number};Parent=gene:{gene};biotype=protein_coding"),
        ]
        for first, last in EXONS:
            kinds.append(("exon", first, last, ".", f"Parent=transcript:T{number}"))
            kinds.append(("CDS", first, last, "0", f"ID=CDS:P{number};Parent=transcript:T{number}"))
        rows += [
            "\t".join([name, "test", kind, str(first), str(last), ".", "+", phase, attributes])
            for kind, first, last, phase, attributes in kinds
        ]
        rows.append("###")
    return "\n".join(rows) + "\n"


def _member(folder: Path, number: int) -> Member:
    """Write a gVCF with 60 alleles for each contig, some of which other participants have too."""
    chosen = random.Random(100 + number)
    records = []
    for contig, bases in CONTIGS.items():
        for pos in sorted(chosen.sample(range(900, 2600), 60)):
            ref = bases[pos - 1 : pos + (pos % 5 == 0) + (pos % 7 == 0)]
            alt = ref[0] if len(ref) > 1 else next(base for base in "ACGT" if base != ref)
            alt += "AC" if pos % 11 == 0 and len(ref) == 1 else ""
            records.append(line(pos, ref, alt, "0/1:40:22:11,11:45,0,42", contig=contig))
    path = folder / f"{number}.g.vcf"
    path.write_text(gvcf_text(records, contigs=dict.fromkeys(CONTIGS, LENGTH)))
    return Member(participant_id=f"P{number}", gvcf=str(path))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store of two batches, a GFF3, and VCFs of rsIDs and of ClinVar."""
    folder = tmp_path_factory.mktemp("annotation")
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", CONTIGS))
    people = [_member(folder, number) for number in range(4)]
    add_batch(store, batch="b1", members=people[:2])
    add_batch(store, batch="b2", members=people[2:])
    (folder / "genes.gff3").write_text(_gff3())
    return folder


@pytest.fixture
def store(place: Path, tmp_path: Path) -> Store:
    """Return a copy of the store."""
    from baekman.cohort.store import open_store

    return open_store(Path(shutil.copytree(place / "cohort", tmp_path / "cohort")))


def _table(store: Store) -> pa.Table:
    snapshot = read_snapshot(store)
    return pa.concat_tables([read_annotations(store, snapshot, shard) for shard in range(len(store.shards))])


def _files(store: Store) -> Mapping[str, bytes]:
    folder = store.annotations(read_snapshot(store).sites)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _bcftools(*arguments: str | Path, source: str = "") -> str:
    """Run the bcftools of the machine, which is not the version that annotates."""
    command = ["bcftools", *map(str, arguments)]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def _vcf(rows: Sequence[Sequence[object]], contigs: Sequence[str], *, info: Sequence[str] = ()) -> str:
    head = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name},length={LENGTH}>" for name in contigs)]
    head += [f'##INFO=<ID={name},Number=.,Type=String,Description="x">' for name in info]
    head.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    return "\n".join([*head, *("\t".join(map(str, row)) for row in rows)]) + "\n"


def test_consequences_are_those_of_the_bcftools_of_the_machine(place: Path, store: Store) -> None:
    done = annotate(store, Sources(genes=place / "genes.gff3"))
    table = _table(store)
    assert done.alleles == table.num_rows
    alleles = table.select(["contig", "pos", "ref", "alt"]).to_pylist()
    (place / "named.gff3").write_text(_gff3(list(CONTIGS)))
    rows = [
        (each["contig"], each["pos"], number, each["ref"], each["alt"], ".", ".", ".")
        for number, each in enumerate(alleles)
    ]
    csq = _bcftools("csq", "-l", "-f", place / "ref.fa", "-g", place / "named.gff3", source=_vcf(rows, list(CONTIGS)))
    lines = [text.split("\t") for text in csq.splitlines() if text[0] != "#"]
    expected = {int(fields[2]): fields[7].removeprefix("BCSQ=").split("|") for fields in lines if "BCSQ" in fields[7]}
    compared = 0
    for number, row in enumerate(table.to_pylist()):
        near_edge = any(abs(row["pos"] - edge) < 10 for exon in EXONS for edge in exon)
        if row["contig"] == "chrM" or (near_edge and len(row["ref"]) != len(row["alt"])):
            continue  # the older version has one genetic code, and other words for an indel at the edge of an exon
        consequence, gene, transcript = (*expected.get(number, []), None, None, None)[:3]
        assert (row["consequence"], row["gene"], row["transcript"]) == (consequence, gene, transcript or None)
        compared += consequence is not None
    assert compared > 100
    counts = {each["values"]: each["counts"] for each in table.column("consequence").value_counts().to_pylist()}
    assert min(counts[term] for term in ("missense", "synonymous", "frameshift", "intron")) > 5
    assert set(counts) - {None} <= {*RANK, *(term for term in counts if term and "&" in term)}


def test_a_codon_of_the_mitochondrion_is_read_by_its_own_code(place: Path, store: Store) -> None:
    annotate(store, Sources(genes=place / "genes.gff3"))
    rows = [row for row in _table(store).to_pylist() if row["consequence"] and len(row["ref"]) == len(row["alt"]) == 1]
    codons = {"chrM": {"TGA": "W"}, "chr1": {"TGA": "*"}}
    seen = set()
    for row in rows:
        exon = next((index for index, (start, end) in enumerate(EXONS) if start <= row["pos"] <= end), None)
        if exon is None or row["contig"] not in codons:
            continue
        offset = (row["pos"] - EXONS[exon][0]) // 3 * 3 + EXONS[exon][0]
        codon = list(CONTIGS[row["contig"]][offset - 1 : offset + 2])
        codon[row["pos"] - offset] = row["alt"]
        if (amino_acid := codons[row["contig"]].get("".join(codon))) is not None:
            seen.add(row["contig"])
            assert row["consequence"] == ("stop_gained" if amino_acid == "*" else "synonymous")
    assert seen == {"chr1", "chrM"}


def test_annotating_new_alleles_alone_gives_the_bytes_of_annotating_all(
    place: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources(genes=place / "genes.gff3")
    everything = annotate(store, sources)
    assert everything.new == everything.alleles
    whole = _files(store)
    shutil.rmtree(store.path / "annotations")
    first = annotate(store, sources, number=1)
    seen: list[int] = []
    original = annotating.consequences_of

    def counted(alleles: pa.Table, **options: object) -> pa.Table:
        seen.append(alleles.num_rows)
        return original(alleles, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(annotating, "consequences_of", counted)
    second = annotate(store, sources)
    assert (second.alleles, second.new) == (everything.alleles, everything.alleles - first.alleles)
    assert sum(seen) == second.new and _files(store) == whole
    assert annotate(store, sources).new == 0 and sum(seen) == second.new


def test_rsids_and_clinvar_are_found_by_the_allele_however_the_file_writes_it(place: Path, store: Store) -> None:
    contigs = ("NC_000001.11", "NC_000002.12", "NC_012920.1")
    alleles = [row for row in _table_of(store) if row["contig"] == "chr2"]
    snv = next(row for row in alleles if len(row["ref"]) == len(row["alt"]) == 1)
    deletion = next(row for row in alleles if len(row["ref"]) == 3 and len(row["alt"]) == 1)
    other = next(base for base in "ACGT" if base not in (snv["ref"], snv["alt"]))
    after = CONTIGS["chr2"][deletion["pos"] + 2]  # the base after the deletion: a record that is not trimmed
    known = sorted(
        [
            (contigs[1], snv["pos"], "rs7", snv["ref"], f"{other},{snv['alt']}", ".", ".", "CLNSIG=Benign"),
            (contigs[1], snv["pos"], "rs5", snv["ref"], snv["alt"], ".", ".", "CLNSIG=Benign;CLNREVSTAT=expert"),
            (contigs[1], deletion["pos"], "rs9", deletion["ref"] + after, deletion["alt"] + after, ".", ".", "."),
            (contigs[0], 5, "rs1", CONTIGS["chr1"][4], "<DEL>", ".", ".", "."),
        ],
        key=lambda row: (row[0], row[1], row[2]),
    )
    packed = place / "known.vcf.gz"
    text = _vcf(known, contigs, info=("CLNSIG", "CLNREVSTAT"))
    subprocess.run(["bcftools", "view", "-Oz", "-o", packed], input=text, text=True, check=True)
    _bcftools("index", "-f", "--tbi", packed)
    annotate(store, Sources(rsids=packed, clinvar=packed))
    rows = {(row["contig"], row["pos"], row["ref"], row["alt"]): row for row in _table(store).to_pylist()}
    annotated = {key: row for key, row in rows.items() if row["rsid"]}
    key = ("chr2", snv["pos"], snv["ref"], snv["alt"])
    of_deletion = ("chr2", deletion["pos"], deletion["ref"], deletion["alt"])
    assert {at: row["rsid"] for at, row in annotated.items()} == {key: "rs5;rs7", of_deletion: "rs9"}
    assert (rows[key]["clinvar"], rows[key]["clinvar_review"]) == ("Benign", "expert")
    assert rows[of_deletion]["clinvar"] is None and rows[key]["gene"] is None
    (found,) = _answer(store, rsid="rs7")
    assert (found["pos"], found["alt"], found["rsid"], found["clinvar"]) == (
        snv["pos"],
        snv["alt"],
        "rs5;rs7",
        "Benign",
    )
    with pytest.raises(InputRefused) as refused:
        _answer(store, rsid="rs77")
    assert str(refused.value) == (
        "--rsid: expected one that an allele of the cohort has, found none of that name; "
        "names are those of the file in annotate.rsids; only alleles of the cohort are annotated"
    )
    with pytest.raises(
        InputRefused, match="--rsid: expected one that an allele of the cohort has in the region, found"
    ):
        _answer(store, rsid="rs7", region="chr1")


def _answer(store: Store, **question: Any) -> list[dict[str, Any]]:
    with ask(store, read_snapshot(store), Question(**question)) as relation:
        rows: list[dict[str, Any]] = relation.to_arrow_table().to_pylist()
    return rows


def test_a_query_finds_the_alleles_of_a_gene_and_joins_annotations(place: Path, store: Store) -> None:
    with pytest.raises(InputRefused) as refused:
        _answer(store, gene="ALPHA1")
    step = "configure `annotate` (config/README.md), then run: baekman cohort annotate"
    assert str(refused.value) == f"cohort: expected annotations of snapshot 2, found none; {step}"
    with pytest.raises(InputRefused) as refused:
        _answer(store, sql="SELECT * FROM annotations")
    assert str(refused.value).endswith(f"; {step}")
    annotate(store, Sources(genes=place / "genes.gff3"))
    expected = [row for row in _table(store).to_pylist() if row["gene"] == "ALPHA1"]
    assert len(expected) > 50
    found = _answer(store, gene="alpha1")
    names = ("contig", "pos", "ref", "alt", "consequence", "impact")
    assert [[row[name] for name in names] for row in found] == [[row[name] for name in names] for row in expected]
    assert {"ac", "filter"} <= {*found[0]} and {row["contig"] for row in found} == {"chr1"}
    own = _answer(store, gene="ALPHA1", participant="P2", region="chr1:1001-1300")
    assert {row["participant_id"] for row in own} == {"P2"} and all(1001 <= row["pos"] <= 1300 for row in own)
    joined = "SELECT count(*) AS n FROM sites JOIN annotations USING (contig, pos, ref, alt) WHERE impact = 'HIGH'"
    assert _answer(store, sql=joined) == [{"n": sum(row["impact"] == "HIGH" for row in _table(store).to_pylist())}]
    scanned = open_cohort(store.path).scan("annotations").select("gene").collect()
    assert scanned.height == _table(store).num_rows


def test_carriers_and_counts_by_group_are_those_of_the_alleles_of_a_gene(place: Path, store: Store) -> None:
    annotate(store, Sources(genes=place / "genes.gff3"))
    cohort = open_cohort(store.path)
    genes = {(row["contig"], row["pos"], row["ref"], row["alt"]): row["gene"] for row in _table(store).to_pylist()}
    of_gene = sorted(key for key, gene in genes.items() if gene == "ALPHA2")
    assert cohort.annotations(gene="alpha2").to_pylist() == [
        row for row in _table(store).to_pylist() if row["gene"] == "ALPHA2"
    ]
    assert (
        cohort.annotations().to_pylist() == _table(store).to_pylist()
        and cohort.annotations("chrM", gene="ALPHA3").num_rows
    )
    calls = cohort.sql("SELECT contig, pos, ref, alt, participant_id FROM calls WHERE copies > 0").fetchall()
    carriers = _answer(store, gene="ALPHA2", carriers=EVERY_ALLELE)
    keys = ("contig", "pos", "ref", "alt")
    assert [tuple(row[name] for name in (*keys, "participant_id")) for row in carriers] == sorted(
        call for call in calls if call[:4] in set(of_gene)
    )
    assert {row["gene"] for row in carriers} == {"ALPHA2"} and {row["genotype"] for row in carriers} == {"0/1"}
    counts = _answer(store, gene="ALPHA2", by=("batch",))
    assert [tuple(row[name] for name in keys) for row in counts] == [key for key in of_gene for _ in "12"]
    everywhere = {
        tuple(row[name] for name in (*keys, "batch")): row for row in _answer(store, region="chr2", by=("batch",))
    }
    for row in counts:
        whole = everywhere[tuple(row[name] for name in (*keys, "batch"))]
        assert whole.items() <= row.items() and row["gene"] == "ALPHA2"
    part = _answer(store, gene="ALPHA2", region="chr2:1001-1300", carriers=EVERY_ALLELE)
    assert part == [row for row in carriers if 1001 <= row["pos"] <= 1300] != []
    with pytest.raises(InputRefused, match=r"^--gene: expected one that an allele of the cohort has, found none"):
        _answer(store, gene="ALPHA9", by=("batch",))


def _table_of(store: Store) -> list[dict[str, object]]:
    from baekman.cohort.snapshot import read_sites

    snapshot = read_snapshot(store)
    return [row for shard in range(len(store.shards)) for row in read_sites(store, snapshot, shard).to_pylist()]


def test_a_withdrawal_deletes_the_annotations_of_alleles_that_only_the_participant_had(
    place: Path, store: Store
) -> None:
    sources = Sources(genes=place / "genes.gff3")
    annotate(store, sources, number=1)
    annotate(store, sources)
    rewrite.withdraw(store, ["P0"])
    assert [path.name for path in (store.path / "annotations").iterdir()] == [".lock"]
    annotate(store, sources)
    kept = _files(store)
    never = create_store(store.path.parent / "never", reference=place / "ref.fa")
    add_batch(never, batch="b", members=[_member(place, number) for number in (1, 2, 3)])
    annotate(never, sources)
    assert _files(never) == kept


def test_a_compaction_keeps_annotations(place: Path, store: Store) -> None:
    annotate(store, Sources(genes=place / "genes.gff3"))
    whole = _files(store)
    rewrite.compact(store, below=10)
    assert _files(store) == whole and annotate(store, Sources(genes=place / "genes.gff3")).new == 0


def test_a_killed_command_leaves_no_annotations_and_the_next_one_finishes(
    place: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources(genes=place / "genes.gff3")
    with monkeypatch.context() as patch:
        patch.setattr(annotating, "write_sealed", killed)
        with pytest.raises(Killed):
            annotate(store, sources)
    assert not store.annotations(read_snapshot(store).sites).exists()
    assert annotate(store, sources).new > 0 and list(damaged_annotations(store)) == []
    assert [path.name for path in (store.path / "annotations").glob(".*")] == [".lock"]


@pytest.mark.parametrize("name", ["*.parquet", "sources.json", "hashes.json"])
def test_damaged_annotations_are_found_and_written_again(place: Path, store: Store, name: str) -> None:
    sources = Sources(genes=place / "genes.gff3")
    annotate(store, sources)
    whole, folder = _files(store), store.annotations(read_snapshot(store).sites)
    file = next(folder.glob(name))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert list(damaged_annotations(store)) == [
        f"annotations/{folder.name}: damaged; write it again with `baekman cohort annotate`"
    ]
    annotate(store, sources)
    assert _files(store) == whole


def test_the_most_severe_consequence_comes_first() -> None:
    text = (
        "intron|B||protein_coding,synonymous&splice_region|A|T2|protein_coding|+|5D|9G>A,missense|A|T1|x|-|5D>5E|9G>A"
    )
    (row,) = parsed(pa.table({"row": [3], "csq": [text]})).to_pylist()
    assert (row["row"], row["gene"], row["consequence"], row["impact"]) == (3, "A", "missense", "MODERATE")
    assert (row["transcript"], row["amino_acid_change"], row["genes"]) == ("T1", "5D>5E", ["A", "B"])
    assert [each["consequence"] for each in row["consequences"]] == ["missense", "synonymous&splice_region", "intron"]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (
            "genes",
            _gff3(["scaffold_1"]),
            "x.gff3: annotate.genes: expected contigs of the cohort (chr1, chr2, chrM), found other names (scaffold_1);"
            " name them in cohort.contig_aliases (name in the file: name in the cohort)",
        ),
        (
            "genes",
            _gff3(["1"]).replace("\t2500\t", "\t25000\t"),
            "x.gff3: annotate.genes: expected positions of the cohort's reference (chr1: 4000 bases), found 25000 bases"
            " of 1; take the file for this assembly",
        ),
        (
            "genes",
            "not a table",
            "x.gff3: annotate.genes: expected a GFF3 file, plain or gzip, found another file; correct the path in the"
            " configuration",
        ),
        (
            "rsids",
            _vcf([], ["1"]),
            "x.gff3: annotate.rsids: expected its index next to it, found none; make it: bcftools index --tbi x.gff3"
            " (compress the VCF first with bgzip)",
        ),
        (
            "clinvar",
            _vcf([], ["1"]),
            "x.gff3: annotate.clinvar: expected its index next to it, found none; make it: bcftools index --tbi x.gff3"
            " (compress the VCF first with bgzip)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(store: Store, tmp_path: Path, kind: str, text: str, message: str) -> None:
    path = tmp_path / "x.gff3"
    path.write_text(text)
    with pytest.raises(InputRefused) as refusal:
        annotate(store, Sources(**{kind: path}))
    assert str(refusal.value) == message
    assert not (store.path / "annotations").exists()


def test_a_cohort_without_configured_files_is_not_annotated(store: Store) -> None:
    with pytest.raises(InputRefused) as refusal:
        annotate(store, Sources())
    assert str(refusal.value) == (
        "config.yaml: annotate: expected genes, rsids or clinvar, found none of them; name at least one file"
        " (config/README.md)"
    )
