"""Canaries: registrations and deliveries with a fake value, found nowhere else, in every input field.

There are names in Hangul and romanised, resident registration numbers of all kinds, record numbers, telephone
numbers, e-mail addresses, paths, and names of runs and machines. Intake removes the canaries of a file that it
takes. The message of a refusal must not contain any.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysam
from support.delivery_builder import (
    DeliveryBuilder,
    gvcf_text,
    write_alignment,
    write_fastq,
    write_gvcf,
    write_registrations,
)

INSTITUTION = "Qwyzbit 큐와이병원"
NAMES = (
    "김쿼즈마",
    "이뷁솔",
    "박쾀나",
    "최쒬비",
    "정뿕하",
    "Wexlyn Qhoi",
    "Yzolda Jvang",
    "한뙗은",
    "구쭯라",
    "Xirnov Bhaek",
)
LABELS = tuple(f"QZB-77{n}4-KX" for n in range(10))
SUBJECTS = tuple(f"CHART/59{n}31" for n in range(10))
# every seventh digit: both sexes of three centuries, Koreans and foreigners; half of them written without hyphen
NUMBERS = tuple(f"8{n}0{n % 9 + 1}1{n}{'-' if n % 2 else ''}{n}48{n}173" for n in range(10))
RUN, FLOW_CELL, INDEX = "WVX9Q", "HQJXWCANRY", "GGTTCCAAGGTT+TTGGAACCTTGG"
WORDS = {
    "phone": "010-8372-4419",
    "other phone": "+82 10 6645 9023",
    "e-mail": "wexlyn.qhoi@qwyzbit.example",
    "other e-mail": "lab-qj@jvang.example",
    "path": "/srv/qwyzbit-ward7/seq",
    "ward": "QWARD7X",
    "library": "LIBQXZ31",
    "filter": "JvangLabFilter",
    "platform": "QXSEQUENCER",
    "delivery": "QZB-BATCH-88121",
    "second delivery": "QZB-BATCH-88122",
    "third delivery": "QZB-BATCH-88123",
    "unregistered": "QZB-0000-UNREG",
    "extra": "QXREADMEQX",
    "folder": "inbox-of-qwyzbit",
    "array sample": "QXARRAYSAMPLE",
    "array file": "QXARRAYFILE",
    "misspelt": "QXTYPEQX",
}
COVERAGE = 10


@dataclass(frozen=True)
class Canaries:
    """The inputs. ``values`` must not be found in any output; the file ``listed`` lists them."""

    folder: Path
    listed: Path
    values: tuple[str, ...]
    registration: Path
    malformed_registration: Path
    first: Path
    second: Path
    third: Path
    malformed: Path
    changed: Path


def make_canaries(folder: Path, reference: Path) -> Canaries:
    """Write registrations and deliveries below ``folder``; the names of folders are canaries too."""
    inbox = folder / WORDS["folder"]
    inbox.mkdir(parents=True)
    values = (INSTITUTION, *NAMES, *LABELS, *SUBJECTS, *NUMBERS, RUN, FLOW_CELL, INDEX, *WORDS.values())
    listed = folder / "identifiers.txt"
    listed.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")
    return Canaries(
        folder=folder,
        listed=listed,
        values=values,
        registration=_registration(inbox, reference),
        malformed_registration=_malformed_registration(inbox),
        first=_first(inbox / "first", reference),
        second=_second(inbox / "second", reference),
        third=_third(inbox / "third", reference),
        malformed=_malformed(inbox / "malformed"),
        changed=_second(inbox / "changed", reference, seed=999),
    )


def _row(number: int, **fields: str) -> dict[str, str]:
    return {
        "institution": INSTITUTION,
        "specimen_id": LABELS[number],
        "participant": SUBJECTS[number],
        "participant_type": ("rare", "severe", "general")[number % 3],
        "registered_sex": "female" if number % 2 else "male",
        "consent": "refused" if number == 9 else "granted",
        "consent_from": "2025-01-01",
        "name": NAMES[number],
        "resident_registration_number": NUMBERS[number],
        "array_genotypes": "",
        **fields,
    }


def _registration(inbox: Path, reference: Path) -> Path:
    array = inbox / f"{WORDS['array file']}.vcf.gz"
    fasta = pysam.FastaFile(str(reference))
    bases = [fasta.fetch("chr1", pos - 1, pos) for pos in range(50, 1050, 10)]
    lines = [
        "##fileformat=VCFv4.2",
        f"##source={WORDS['path']}/array",
        *(f"##contig=<ID={name},length={fasta.get_reference_length(name)}>" for name in fasta.references),
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", WORDS["array sample"]]),
        *(
            f"chr1\t{pos}\t{WORDS['ward']}\t{base}\t{'A' if base != 'A' else 'C'}\t.\tPASS\t.\tGT\t0/0"
            for pos, base in zip(range(50, 1050, 10), bases, strict=True)
        ),
    ]
    write_gvcf(array, "\n".join(lines) + "\n")
    rows = [_row(n, array_genotypes=array.name if n == 0 else "") for n in range(10)]
    return write_registrations(inbox / "registration.tsv", rows)


def _malformed_registration(inbox: Path) -> Path:
    """Write conflicts with earlier registrations, and values of the wrong kind."""
    rows = [
        _row(1, name=NAMES[2], participant=SUBJECTS[3]),
        _row(2, participant_type=WORDS["misspelt"], consent=NAMES[0], consent_from=WORDS["phone"]),
        _row(3, resident_registration_number=WORDS["e-mail"]),
    ]
    return write_registrations(inbox / "more-registrations.tsv", rows)


def _pairs(reference: Path, seed: int, mate: int, *, comment: str = "", name: str = "") -> str:
    """Return FASTQ text of reads from the reference, at ``COVERAGE``."""
    draw = random.Random(seed)
    fasta = pysam.FastaFile(str(reference))
    complement = str.maketrans("ACGT", "TGCA")
    lines = []
    for contig in fasta.references:
        bases = fasta.fetch(contig)
        for number in range(COVERAGE * len(bases) // 200):
            start = draw.randrange(0, len(bases) - 300)
            sequence = bases[start : start + 100]
            if mate == 2:
                sequence = bases[start + 200 : start + 300].translate(complement)[::-1]
            read = name or f"{RUN}:12:{FLOW_CELL}:1:{1101 if contig == 'chr1' else 1102}:{number}:{seed}"
            lines.append(f"@{read} {mate}:N:0:{INDEX}{comment}\n{sequence}\n+\n{'F' * 100}\n")
    return "".join(lines)


def _fastq(
    builder: DeliveryBuilder, number: int, *, lane: str, stem: str = "", comment: str = "", name: str = ""
) -> None:
    label = LABELS[number]
    for mate in (1, 2):
        file = f"{WORDS['ward']}/{stem or label}_{lane}_R{mate}.fastq.gz"
        (builder.folder / WORDS["ward"]).mkdir(exist_ok=True)
        text = _pairs(builder.reference, number + 100 * len(lane), mate, comment=comment, name=name)
        write_fastq(builder.folder / file, text)
        builder.add(label, file, f"fastq_{mate}", lane)


def _gvcf(builder: DeliveryBuilder, number: int, *, meta: tuple[str, ...] = ()) -> None:
    """Add a gVCF with the laboratory's own words in its meta lines, IDs, INFO and filters."""
    label = LABELS[number]
    text = gvcf_text(
        builder.reference,
        sample=label,
        meta=(
            f"##source={WORDS['path']}/call.sh",
            f'##FILTER=<ID={WORDS["filter"]},Description="{WORDS["ward"]}">',
            f'##SAMPLE=<ID={label},Description="{WORDS["library"]}">',
            *meta,
        ),
    ).replace("ward7", WORDS["ward"])
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("chr1\t100\t"))
    fields = lines[at].split("\t")
    fields[6] = WORDS["filter"]
    lines[at] = "\t".join(fields)
    file = f"{label}.g.vcf.gz"
    write_gvcf(builder.folder / file, "\n".join(lines) + "\n")
    builder.add(label, file, "gvcf")


def _aligned(builder: DeliveryBuilder, number: int, ending: str, *, comments: tuple[str, ...] = ()) -> None:
    label = LABELS[number]
    path = builder.folder / f"{label}.{ending}"
    header: dict[str, object] = {
        "PG": [{"ID": "bwa", "PN": "bwa", "CL": f"bwa mem {WORDS['path']}/ref.fa {WORDS['library']}.fq"}],
        **({"CO": list(comments)} if comments else {}),
    }
    write_alignment(
        path,
        builder.reference,
        sample=label,
        seed=number,
        header=header,
        groups=(f"{FLOW_CELL}.1", f"{FLOW_CELL}.2"),
        name=f"{RUN}:12:{FLOW_CELL}:1:1101",
    )
    builder.add(label, path.name, ending)


def _builder(folder: Path, reference: Path, name: str) -> DeliveryBuilder:
    return DeliveryBuilder(folder, reference, name=WORDS[name], institution=INSTITUTION)


def _finish(builder: DeliveryBuilder) -> Path:
    folder = builder.finish()
    sheet = folder / "delivery.yaml"
    sheet.write_text(sheet.read_text().replace("NovaSeq X", WORDS["platform"]), encoding="utf-8")
    return folder


def _first(folder: Path, reference: Path) -> Path:
    """Write two sound specimens, and one for each place of an identifier that intake refuses."""
    builder = _builder(folder, reference, "delivery")
    _fastq(builder, 0, lane=f"{FLOW_CELL}.1")
    _gvcf(builder, 1)
    _aligned(builder, 3, "bam", comments=(f"환자 {NAMES[3]}", WORDS["ward"]))
    _fastq(builder, 4, lane="L", comment=f" {NUMBERS[4]}")
    _gvcf(builder, 5, meta=(f"##contact={WORDS['phone']}", f"##nurse={WORDS['other phone']}"))
    _fastq(builder, 6, lane="L", name=f"{WORDS['e-mail']}:{NAMES[6].replace(' ', '_')}")
    _fastq(builder, 7, lane="L", stem=f"{NUMBERS[7]}_{NAMES[7]}")
    _aligned(builder, 8, "cram", comments=(NUMBERS[8], WORDS["other e-mail"]))
    cram = builder.folder / f"{LABELS[8]}.cram"
    cram.write_bytes(cram.read_bytes()[:-20])
    _fastq(builder, 9, lane="L")
    builder.add(WORDS["unregistered"], f"{WORDS['unregistered']}.bam", "bam", sha256="0" * 64, size=10)
    (builder.folder / f"{WORDS['extra']}.txt").write_text(f"{NAMES[0]} {WORDS['phone']}\n")
    return _finish(builder)


def _second(folder: Path, reference: Path, *, seed: int = 0) -> Path:
    """Write calls of a new specimen, and of one that was delivered before."""
    builder = _builder(folder, reference, "second delivery")
    _gvcf(builder, 2, meta=(f"##seed={seed}",))
    _gvcf(builder, 1)
    return _finish(builder)


def _third(folder: Path, reference: Path) -> Path:
    """Write alignments; they stay staged until a command works on them."""
    builder = _builder(folder, reference, "third delivery")
    _aligned(builder, 3, "bam")
    _aligned(builder, 4, "cram")
    return _finish(builder)


def _malformed(folder: Path) -> Path:
    """Write a manifest with values in the wrong places."""
    folder.mkdir()
    (folder / "delivery.yaml").write_text(
        f"delivery: {NAMES[0]} {WORDS['phone']}\ninstitution: [{NAMES[1]}]\n{WORDS['misspelt']}: {NUMBERS[2]}\n"
    )
    rows = [
        ["specimen_id", "file", "kind", "read_group", "sha256", "size", WORDS["misspelt"]],
        [LABELS[0], f"../{NAMES[0]}.bam", NAMES[1], WORDS["library"], NUMBERS[3], SUBJECTS[1], WORDS["e-mail"]],
        [f"{NAMES[2]}\x07", f"/{WORDS['path']}", "bam", "", WORDS["phone"], NUMBERS[0]],
    ]
    (folder / "manifest.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    return folder


def plant(workspace: Path, values: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Put canaries into a log, a compressed file, JSON and a file's name below ``workspace``; yield path and value."""
    targets = [workspace / "logs" / "x.log", workspace / "participants" / "x.gz", workspace / "deliveries" / "x.json"]
    contents = [values[1].encode(), gzip.compress(values[20].encode()), json.dumps([values[35]]).encode()]
    for path, content, value in zip(targets, contents, (values[1], values[20], values[35]), strict=True):
        path.write_bytes(content)
        yield path, value
    named = workspace / "tables" / f"{values[12]}.tsv"
    named.touch()
    yield named, values[12]
