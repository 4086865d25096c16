"""Barcodes that the eye takes for one another."""

from __future__ import annotations

import unicodedata

# Latin letters and digits with their confusables (Unicode UTS 39), as far as keyboards and scanners produce them
_READS_LIKE = {
    "0": "oοоօ",
    "1": "il|ıіιӏ",
    "3": "з",
    "5": "ѕs",
    "8": "bвβ",
    "2": "z",
    "a": "аα",
    "c": "сϲ",
    "e": "еε",
    "h": "һн",
    "j": "јϳ",
    "k": "кκ",
    "m": "мμ",
    "n": "пη",
    "p": "рρ",
    "t": "тτ",
    "v": "ѵν",
    "x": "хχ",
    "y": "уγ",
}
# capitals that read like another letter than their small forms do
_CAPITALS = str.maketrans({"Η": "h", "Ν": "n", "Υ": "y", "У": "y"})
_FOLDED = str.maketrans({other: letter for letter, others in _READS_LIKE.items() for other in others})


def skeleton(barcode: str) -> str:
    """Return ``barcode`` as the eye reads it: without width, case, accents, look-alikes and separators."""
    folded = unicodedata.normalize("NFKD", barcode).translate(_CAPITALS).casefold().translate(_FOLDED)
    return "".join(character for character in folded if character.isalnum())
