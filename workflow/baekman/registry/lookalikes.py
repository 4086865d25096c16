"""Labels that the eye takes for one another."""

from __future__ import annotations

import unicodedata

# Latin letters and digits as Unicode's confusables (UTS 39) list them, for what keyboards and scanners
# produce
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
# capitals that read like another letter than their small ones
_CAPITALS = str.maketrans({"Η": "h", "Ν": "n", "Υ": "y", "У": "y"})
_FOLDED = str.maketrans({other: letter for letter, others in _READS_LIKE.items() for other in others})


def skeleton(label: str) -> str:
    """What is left of ``label`` for the eye: width, case, accents, look-alikes and separators taken away."""
    folded = unicodedata.normalize("NFKD", label).translate(_CAPITALS).casefold().translate(_FOLDED)
    return "".join(character for character in folded if character.isalnum())
