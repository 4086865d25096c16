"""Registration tables of two people, as an institution sends them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from baekman.registry.records import Registry
from baekman.registry.registration import RegistrationRow
from baekman.registry.registration_files import open_registrations

HEADER = (
    "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from\tconsent_to"
    "\tscopes\tbirth_year\tname\tresident_registration_number\tarray_genotypes"
)
FIRST = "서울병원\tBAR-0001\tSUBJ-1\trare\tfemale\tgranted\t2025-01-01\t\t\t1984\t홍길순\t840229-2234567\t"
SECOND = "서울병원\tBAR-0002\tSUBJ-2\tgeneral\tmale\trefused\t\t\t\t\t\t\t"


def table(folder: Path, *rows: str, name: str = "registration.tsv") -> Path:
    """Write a registration table of ``rows`` and return its path."""
    file = folder / name
    file.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return file


def read_rows(files: Sequence[Path]) -> list[RegistrationRow]:
    """Return all rows of ``files``."""
    with open_registrations(files) as tables:
        return [row for part in tables.parts(1000) for row in part]


def array(file: Path, *samples: str, genotype: str = "0/1") -> Path:
    """Write a VCF of array genotypes that names a person, with a column per sample; return its path."""
    calls = "\t".join([genotype] * len(samples))
    names = "\t".join(samples)
    file.write_text(
        "##fileformat=VCFv4.2\n##note=홍길순\n##contig=<ID=20,length=100000>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n20\t100\t홍길순\tA\tC\t.\t.\t.\tGT\t{calls}\n",
        encoding="utf-8",
    )
    return file


def participant_of(registry: Registry, barcode: str = "BAR-0001") -> str:
    """Return the ID of the participant of the specimen with this barcode."""
    record = registry.specimen("서울병원", barcode)
    assert record is not None
    return record.participant_id
