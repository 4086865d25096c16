"""Array genotypes, which the registry keeps for the identity check under a specimen's pseudonymous ID.

A new file holds the contigs, positions, alleles and GT. It keeps nothing else of the institution's file, since its
header and IDs may name the person.
"""

from __future__ import annotations

from pathlib import Path

import pysam

from baekman.files.atomic import atomic_file


class UnusableArray(ValueError):
    """The file is no VCF or BCF with the specimen's genotypes; the message describes it."""


def write_pseudonymous(source: Path, output: Path, *, barcode: str, specimen_id: str) -> int:
    """Copy the genotypes of ``barcode`` (or of the only sample) from ``source`` to ``output``.

    ``output`` is a BGZF VCF with one sample named ``specimen_id``. Returns the number of records. Raises
    ``UnusableArray``.
    """
    if not source.is_file():
        raise UnusableArray("no file of this name")
    before = pysam.set_verbosity(0)  # htslib's messages hold the institution's path
    try:
        contigs = _contigs(source)
        with pysam.VariantFile(str(source)) as reader:
            samples = list(reader.header.samples)
            if barcode in samples:
                sample = barcode
            elif len(samples) == 1:
                sample = samples[0]
            else:
                raise UnusableArray(f"{len(samples)} samples, none of them named like the specimen")
            reader.subset_samples([sample])
            header = pysam.VariantHeader()
            for name, length in contigs.items():
                header.contigs.add(name, length=length)
            header.formats.add("GT", 1, "String", "Genotype")
            header.add_sample(specimen_id)
            return _copy(reader, header, output)
    except (OSError, ValueError, KeyError) as failure:
        if isinstance(failure, UnusableArray):
            raise
        raise UnusableArray("no readable VCF or BCF") from None
    finally:
        pysam.set_verbosity(before)


def _contigs(source: Path) -> dict[str, int | None]:
    """Return the contigs and their lengths: those of the header, then those that only records name."""
    with pysam.VariantFile(str(source)) as reader:
        lengths: dict[str, int | None] = {contig.name: contig.length for contig in reader.header.contigs.values()}
        for record in reader:
            lengths.setdefault(record.contig, None)
    return lengths


def _copy(reader: pysam.VariantFile, header: pysam.VariantHeader, output: Path) -> int:
    count = 0
    with atomic_file(output) as temporary:
        with pysam.VariantFile(str(temporary), "wz", header=header) as writer:
            for record in reader:
                if record.alts is None:
                    alleles = (record.ref, ".")
                else:
                    alleles = record.alleles
                new = header.new_record(contig=record.contig, start=record.start, alleles=alleles)
                new.samples[0]["GT"] = record.samples[0]["GT"]
                new.samples[0].phased = record.samples[0].phased
                writer.write(new)
                count += 1
        temporary.chmod(0o600)
    return count
