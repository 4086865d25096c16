"""Splits of the members for machine learning: families stay together, and each institution is left out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import column
from baekman.pseudonyms import ALPHABET

# Share of the members up to the end of each split, with the names of MEDS.
SPLITS = (("train", 0.8), ("tuning", 0.9), ("held_out", 1.0))
TRAIN, HELD_OUT, EXCLUDED = "train", "held_out", "excluded"
OTHER = "other"  # institutions of too few members
LEFT_OUT = "without_institution_"  # of the columns, before the number of the institution
_CHARACTERS = slice(3, 7)  # of a project ID: random ones that choose no bucket
_VALUES = np.array([max(ALPHABET.find(chr(code)), 0) for code in range(256)], np.int64)


def family_numbers(families: Mapping[int, Any], *, members: int) -> npt.NDArray[np.int64]:
    """Return for each sample the smallest sample of its family; its own number for a sample that is not named.

    ``families``: the family, any name, of samples that have relatives.
    """
    smallest: dict[Any, int] = {}
    for sample in sorted(families):
        smallest.setdefault(families[sample], sample)
    numbers = np.arange(members, dtype=np.int64)
    for sample, family in families.items():
        numbers[sample] = smallest[family]
    return numbers


def institution_numbers(institutions: Iterable[str | None], *, threshold: int) -> dict[str, str]:
    """Return the number of each institution with at least ``threshold`` members, by their number, largest first."""
    counts = Counter(name for name in institutions if name)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: str(number) for number, name in enumerate(ordered, 1) if counts[name] >= threshold}


def split_table(
    project_ids: npt.NDArray[np.bytes_], *, family: npt.NDArray[np.int64], institution: Sequence[str]
) -> pa.Table:
    """Return a row for each sample: ``sample``, ``project_id``, ``split``, ``institution`` and the left-out columns.

    The split follows from the random characters of the smallest project ID of the family. In a column
    ``without_institution_<n>`` the members of institution n are ``held_out``, relatives of them elsewhere ``excluded``,
    and all others ``train``.

    Args:
        project_ids: Sorted project IDs.
        family: For each sample the smallest sample of its family (``family_numbers``).
        institution: The number of the institution of each sample, or ``OTHER``.
    """
    letters = np.ascontiguousarray(project_ids).view(np.uint8).reshape(len(project_ids), -1)
    share = np.zeros(len(project_ids))
    for character in range(_CHARACTERS.start, _CHARACTERS.stop):
        share = share * 32 + _VALUES[letters[:, character]]
    share = share[family] / 32 ** (_CHARACTERS.stop - _CHARACTERS.start)
    names = np.array([name for name, _ in SPLITS])
    split = names[np.searchsorted([end for _, end in SPLITS], share, side="right")]
    places = np.array(institution)
    columns: dict[str, Any] = {
        "sample": pa.array(np.arange(len(project_ids), dtype=np.uint32)),
        "project_id": column([project_id.decode() for project_id in project_ids.tolist()]),
        "split": pa.array(split.tolist(), pa.string()),
        "institution": pa.array(places.tolist(), pa.string()),
    }
    for number in sorted({*institution} - {OTHER}, key=int):
        held_out = places == number
        related = np.isin(family, family[held_out])
        fold = np.where(held_out, HELD_OUT, np.where(related, EXCLUDED, TRAIN))
        columns[f"{LEFT_OUT}{number}"] = pa.array(fold.tolist(), pa.string())
    return pa.table(columns)
