"""The seals of tables: the digests of a participant's two files, in ``hashes/<bucket>/<ID>.json``.

A seal is written before its files get their names. While they replace older ones it has the digests of both. Readers
compare the footer of a file, since Arrow compares its pages; ``verify_tables`` compares every byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from baekman.errors import DamagedFile
from baekman.files.digests import crc32_of, digest_of, digest_of_bytes, read_sealed, write_sealed
from baekman.tables.keys import bucket_of

FOLDER = "hashes"
DATASETS = ("variants", "reference")
_LENGTH_AND_MAGIC = 8  # the last bytes of a Parquet file


def seal_path(output: Path, participant: str) -> Path:
    """Return the path of the seal of a participant's tables."""
    return output / FOLDER / bucket_of(participant) / f"{participant}.json"


def digests_of_tables(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the digests of a participant's two files and of their footers, in the order of DATASETS."""
    return {
        **{dataset: digest_of(path) for dataset, path in zip(DATASETS, paths, strict=True)},
        "footers": [footer_digest(path) for path in paths],
    }


def footer_digest(path: Path) -> str:
    """Return the digest of the footer of a Parquet file, "" when it has none."""
    footer = read_footer(path)
    return digest_of_bytes(footer) if footer else ""


def read_footer(path: Path) -> bytes:
    """Return the bytes of the footer of a Parquet file, none when it has no footer."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _LENGTH_AND_MAGIC, 0))
        length = int.from_bytes(file.read(4), "little") + _LENGTH_AND_MAGIC
        if length > size:
            return b""
        file.seek(size - length)
        return file.read()


def accept(output: Path, participant: str, digests: Mapping[str, Any], *, alone: bool) -> None:
    """Write the seal with ``digests``; unless ``alone``, next to those that it has already."""
    accepted: list[Mapping[str, Any]] = []
    if not alone:
        with suppress(FileNotFoundError, DamagedFile):
            accepted = read_sealed(seal_path(output, participant))["accepted"][-1:]
    accepted = [earlier for earlier in accepted if earlier != digests]
    value = {"participant_id": participant, "accepted": [*accepted, digests]}
    write_sealed(seal_path(output, participant), value, durable=False)


def require_footer(path: Path, participant: str) -> None:
    """Raise DamagedFile unless the footer of a participant's table is one that its seal has.

    A folder of tables without seals is of an earlier version, and passes.
    """
    output, dataset = path.parents[2], path.parents[1].name
    if (output / FOLDER).is_dir():
        index = DATASETS.index(dataset)
        digest = footer_digest(path)
        if not any(known["footers"][index] == digest for known in _accepted(output, participant, path=path)):
            raise DamagedFile(path)


def is_whole(output: Path, participant: str, paths: Sequence[Path]) -> bool:
    """Return whether a participant's two files have the CRC-32 of the seal; False without a seal."""
    try:
        known = _accepted(output, participant, path=paths[0])[-1]
        return all(
            known[dataset].endswith(f" {crc32_of(path):08x}") for dataset, path in zip(DATASETS, paths, strict=True)
        )
    except (DamagedFile, FileNotFoundError):
        return False


def _accepted(output: Path, participant: str, *, path: Path) -> list[Mapping[str, Any]]:
    """Return the accepted digests of a participant's tables; raise DamagedFile for ``path`` without a seal."""
    seal = seal_path(output, participant)
    try:
        value = read_sealed(seal)
    except FileNotFoundError:
        raise DamagedFile(path) from None
    if value["participant_id"] != participant:
        raise DamagedFile(seal)
    accepted: list[Mapping[str, Any]] = value["accepted"]
    return accepted


def seals_digest(output: Path) -> tuple[int, str]:
    """Return the number of seals of a folder of tables, and a digest of all of them, in hex."""
    count, total = 0, 0
    for path in (output / FOLDER).glob("*/*.json"):
        count += 1
        total += int.from_bytes(hashlib.sha256(path.read_bytes()).digest(), "big")
    return count, f"{total % (1 << 256):064x}"


def verify_tables(output: Path) -> Iterator[str]:
    """Yield a line for each file of a folder of tables that is damaged, missing, added or renamed.

    Each ends with the next step: the commands write whatever is not whole, and leave the rest as it is.
    """
    again = "write it again with `baekman tables --output TABLES`, or `cohort freeze`"
    if not (output / FOLDER).is_dir():
        yield f"{FOLDER}: absent; {again}"
        return
    sealed: set[Path] = set()
    for seal in sorted((output / FOLDER).glob("*/*")):
        participant = seal.name.removesuffix(".json")
        place = seal.relative_to(output).as_posix()
        if seal.name.startswith("."):
            continue
        files = [output / dataset / bucket_of(participant) / f"{participant}.parquet" for dataset in DATASETS]
        sealed.update(files)
        try:
            accepted = _accepted(output, participant, path=seal)
        except DamagedFile:
            yield f"{place}: damaged; {again}"
            continue
        if seal != seal_path(output, participant):
            yield f"{place}: not the place of a seal; delete it"
        for dataset, file in zip(DATASETS, files, strict=True):
            name = file.relative_to(output).as_posix()
            if not file.is_file():
                yield f"{name}: absent; {again}"
            elif digest_of(file) not in [known[dataset] for known in accepted]:
                yield f"{name}: another SHA-256 than when it was written; {again}"
    for dataset in DATASETS:
        for file in sorted((output / dataset).glob("**/*")):
            if file.is_file() and not file.name.startswith(".") and file not in sealed:
                yield f"{file.relative_to(output).as_posix()}: no seal, so it was added or renamed; delete it"
