"""Small simulated specimens for the tests of QC: a reference, people, their reads (aligned by construction), arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

READ = 100
BASES = np.frombuffer(b"ACGT", dtype=np.uint8)


@dataclass
class Population:
    """A reference of one contig with SNVs; ``position`` is 0-based."""

    fasta: Path
    contig: str
    bases: npt.NDArray[np.uint8]
    position: npt.NDArray[np.int64]
    alt: npt.NDArray[np.uint8]
    frequency: npt.NDArray[np.float64]

    def person(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw two haplotypes (2 x sites) of 0 and 1."""
        return (rng.random((2, len(self.position))) < self.frequency).astype(np.int64)

    def write_sites(self, path: Path) -> Path:
        """Write the sites with INFO/AF as an indexed VCF."""
        header = pysam.VariantHeader()
        header.contigs.add(self.contig, length=len(self.bases))
        header.info.add("AF", "A", "Float", "Frequency of ALT in the population")
        with pysam.VariantFile(str(path), "wz", header=header) as file:
            for position, alt, frequency in zip(self.position, self.alt, self.frequency, strict=True):
                file.write(
                    header.new_record(
                        contig=self.contig,
                        start=int(position),
                        alleles=(chr(self.bases[position]), chr(alt)),
                        info={"AF": (float(frequency),)},
                    )
                )
        pysam.tabix_index(str(path), preset="vcf", force=True)
        return path

    def write_array(self, path: Path, person: npt.NDArray[np.int64], *, every: int = 1) -> Path:
        """Write a person's genotypes at every ``every``-th site as an indexed VCF of one sample."""
        header = pysam.VariantHeader()
        header.contigs.add(self.contig, length=len(self.bases))
        header.formats.add("GT", 1, "String", "Genotype")
        header.add_sample("P0")
        with pysam.VariantFile(str(path), "wz", header=header) as file:
            for site in range(0, len(self.position), every):
                position = int(self.position[site])
                record = header.new_record(
                    contig=self.contig, start=position, alleles=(chr(self.bases[position]), chr(self.alt[site]))
                )
                record.samples[0]["GT"] = tuple(sorted(person[:, site].tolist()))
                file.write(record)
        pysam.tabix_index(str(path), preset="vcf", force=True)
        return path

    def write_reads(
        self,
        path: Path,
        people: list[tuple[npt.NDArray[np.int64], float]],
        *,
        depth: float,
        rng: np.random.Generator,
        quality: int = 30,
    ) -> Path:
        """Write single reads of a mixture of people, each with a share, as a sorted BAM with SNVs and errors."""
        haplotypes = []
        for person, share in people:
            for copy in person:
                bases = self.bases.copy()
                carried = self.position[copy == 1]
                bases[carried] = self.alt[copy == 1]
                haplotypes.append((bases, share / 2))
        shares = np.array([share for _, share in haplotypes])
        number = int(depth * len(self.bases) / READ)
        starts = np.sort(rng.integers(0, len(self.bases) - READ, number))
        origins = rng.choice(len(haplotypes), size=number, p=shares / shares.sum())
        header = pysam.AlignmentHeader.from_dict(
            {
                "HD": {"VN": "1.6", "SO": "coordinate"},
                "SQ": [{"SN": self.contig, "LN": len(self.bases)}],
                "RG": [{"ID": "P0.L1", "SM": "P0"}],
            }
        )
        with pysam.AlignmentFile(str(path), "wb", header=header) as file:
            for name, (start, origin) in enumerate(zip(starts.tolist(), origins.tolist(), strict=True)):
                sequence = haplotypes[origin][0][start : start + READ].copy()
                wrong = rng.random(READ) < 10 ** (-quality / 10)
                sequence[wrong] = rng.choice(BASES, wrong.sum())
                read = pysam.AlignedSegment(header)
                read.query_name = f"r{name}"
                read.reference_id, read.reference_start = 0, start
                read.query_sequence = sequence.tobytes().decode()
                read.query_qualities = pysam.qualitystring_to_array(chr(quality + 33) * READ)
                read.cigartuples = [(0, READ)]
                read.mapping_quality = 60
                read.set_tag("RG", "P0.L1")
                file.write(read)
        pysam.index(str(path))
        return path


def population(folder: Path, *, sites: int = 400, spacing: int = 60, seed: int = 1, contig: str = "chr1") -> Population:
    """Make a reference of ``sites`` x ``spacing`` bases with common SNVs, an indexed FASTA in ``folder``."""
    rng = np.random.default_rng(seed)
    bases = rng.choice(BASES, sites * spacing + 2 * READ)
    position = READ + spacing * np.arange(sites) + rng.integers(0, spacing - 1, sites)
    shift = rng.integers(1, 4, sites)
    alt = BASES[(np.searchsorted(BASES, bases[position]) + shift) % 4]
    fasta = folder / "reference.fa"
    fasta.write_text(f">{contig}\n{bases.tobytes().decode()}\n", encoding="ascii")
    pysam.faidx(str(fasta))
    return Population(fasta, contig, bases, position, alt, rng.uniform(0.1, 0.9, sites))
