"""The codes of OMOP rows: the code of a concept, and variants of it where a row says more than the code does.

Each row has a *profile*: its concept, kind, unit and the symbols of its attributes. The usual profile of a concept
has the concept's own code (``LOINC/8302-2``). A rarer profile has a variant (``LOINC/8302-2+1f0c93ab``), the parent of
which is the code; its suffix is a digest of the symbols that differ.

Three places hold the symbols, and each wins over the ones before:

- the conventions of an institution's source, for each table and kind: a dictionary entry
  ``OMOP/conventions:<digest>:<table>:<kind>``, the categories of which are ``attribute=symbol``;
- the URI of the code, after ``#omop=``;
- the URI of the variant.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, urlencode

from baekman.records.dictionary import Dictionary, Entry, Kind
from baekman.records.omop.attributes import ANY, Attribute
from baekman.records.omop.mapping import BY_NAME
from baekman.records.omop.mapping import Mapping as OmopMapping

CONVENTIONS = "OMOP/conventions:"
ATHENA = "https://athena.ohdsi.org/search-terms/terms/"
BIRTH = "OMOP/birth"  # the date of birth is in no release
CDM = "https://ohdsi.github.io/CommonDataModel/cdm54.html"
# UCUM units of one size
SAME_UNITS = (
    {"ug/L", "ng/mL"},
    {"mg/L", "ug/mL"},
    {"g/L", "mg/mL"},
    {"ng/L", "pg/mL"},
    {"10*3/uL", "10*9/L"},
    {"10*6/uL", "10*12/L"},
    {"/min", "{beats}/min", "{breaths}/min"},
)
_FRAGMENT = re.compile(r"^(?P<uri>[^#]*)#omop=(?P<query>.*)$")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A kind of row: ``key`` is its digest, ``code`` the code of its concept, ``symbols`` those of its attributes."""

    key: str
    main_id: int
    code: str
    name: str
    natural_table: str
    kind: Kind
    unit: str | None
    standard: tuple[str, str] | None  # code and name of the standard concept, where the code is the source's
    symbols: Mapping[str, str]
    rows: int


@dataclass(frozen=True)
class Meaning:
    """The OMOP row that a code stands for: the mapping, the concept, and the symbols that the code decides on."""

    mapping: str
    main_id: int
    symbols: Mapping[str, str]

    def uri(self, base: str) -> str:
        """Return ``base`` with this meaning in its fragment."""
        symbols = sorted((name, symbol) for name, symbol in self.symbols.items() if symbol != ANY)
        return f"{base}#omop={urlencode([('of', self.mapping), ('concept', self.main_id), *symbols], quote_via=quote)}"


def meaning_of(uri: str | None) -> Meaning | None:
    """Return the meaning in the fragment of ``uri``; None without one."""
    match = _FRAGMENT.match(uri or "")
    if match is None:
        return None
    symbols = dict(parse_qsl(match["query"], keep_blank_values=True))
    mapping, main_id = symbols.pop("of", ""), symbols.pop("concept", "0")
    return Meaning(mapping, int(main_id), symbols) if mapping in BY_NAME and main_id.isdigit() else None


def conventions_key(institution: str, source: str) -> str:
    """Return the digest that names the conventions of a source of an institution; DuckDB has the same function."""
    return hashlib.sha256(f"{institution}\n{source}".encode()).hexdigest()[:12]


def conventions(dictionary: Dictionary) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return the usual symbols by digest of the source, mapping and kind."""
    usual: dict[tuple[str, str, str], dict[str, str]] = {}
    for code, entry in dictionary.entries.items():
        if code.startswith(CONVENTIONS):
            key, mapping, kind = code.removeprefix(CONVENTIONS).split(":")
            usual[key, mapping, kind] = dict(category.split("=", 1) for category in entry.categories)
    return usual


@dataclass
class CodeBook:
    """The codes of one delivery: made from its profiles and the ``dictionary``, which it extends."""

    dictionary: Dictionary
    source_key: str
    scope: str
    entries: dict[str, Entry] = field(default_factory=dict)

    def entry(self, code: str) -> Entry | None:
        """Return the entry of ``code``, of this delivery or of the dictionary."""
        return self.entries.get(code) or self.dictionary.entry(code)

    def resolve(self, mapping: OmopMapping, profiles: Sequence[Profile]) -> dict[str, tuple[str, str | None]]:
        """Return code and unit of each profile of ``mapping`` by its key; make the entries that the dictionary lacks.

        The unit is that of the dictionary where both have the same size (ug/L and ng/mL).
        """
        usual = {kind: self._conventions(mapping, kind, profiles) for kind in sorted({p.kind for p in profiles})}
        by_code: dict[str, list[Profile]] = defaultdict(list)
        for profile in profiles:
            by_code[self._base(mapping, profile)].append(profile)
        codes = {
            profile.key: (code, profile.unit)
            for base, group in sorted(by_code.items())
            for profile, code in self._variants(mapping, base, group, usual)
        }
        for key, (code, unit) in codes.items():
            entry = self.entry(code)
            if entry is not None and _is_same_unit(unit, entry.unit):
                codes[key] = code, entry.unit
        return codes

    def add_categories(self, code: str, categories: Iterable[str]) -> None:
        """Add the ``categories`` that the entry of ``code`` does not have yet, sorted, after the others."""
        entry = self.entry(code)
        if entry is not None and entry.kind == "category":
            new = sorted(set(categories) - set(entry.categories))
            self.entries[code] = replace(entry, categories=(*entry.categories, *new))

    def _conventions(self, mapping: OmopMapping, kind: str, profiles: Sequence[Profile]) -> dict[str, str]:
        """Return the usual symbol of each attribute of the rows of ``kind``; the first delivery decides on it."""
        of_kind = [profile for profile in profiles if profile.kind == kind]
        at_source = [attribute for attribute in mapping.attributes if attribute.level == "delivery"]
        return self.note(mapping.name, kind, {a.column: _most_common(a, of_kind) for a in at_source})

    def note(self, mapping: str, kind: str, usual: Mapping[str, str]) -> dict[str, str]:
        """Note the ``usual`` symbols as conventions, unless some are known; return those in force."""
        code = f"{CONVENTIONS}{self.source_key}:{mapping}:{kind}"
        known = self.entry(code)
        noted = dict(category.split("=", 1) for category in known.categories) if known else {}
        if new := {column: symbol for column, symbol in usual.items() if column not in noted}:
            name = f"Conventions of a source for {kind} rows of {mapping} (OMOP)"
            self.entries[code] = Entry(
                code=code,
                name_ko=name,
                name_en=name,
                kind="category",
                categories=tuple(f"{column}={symbol}" for column, symbol in (noted | new).items()),
                scope=self.scope,
                tier="never",
            )
        return noted | new

    def _base(self, mapping: OmopMapping, profile: Profile) -> str:
        """Return the code of the concept of ``profile``; with the table where the concept belongs to another one."""
        if mapping.fixed:
            return mapping.fixed
        meaning = meaning_of(entry.uri) if (entry := self.entry(profile.code)) else None
        home = meaning.mapping if meaning is not None else profile.natural_table
        return profile.code if home in ("", mapping.name) else f"{profile.code}:{mapping.name}"

    def _variants(
        self, mapping: OmopMapping, base: str, group: list[Profile], usual: Mapping[Kind, Mapping[str, str]]
    ) -> Iterator[tuple[Profile, str]]:
        """Yield the profiles of one ``base`` code, each with its code."""
        known = self.dictionary.entry(base)
        group = [_in_unit(known.unit, profile) if known is not None else profile for profile in group]
        fitting = [p for p in group if known is None or (p.kind == known.kind and _is_same_unit(p.unit, known.unit))]
        chief = max(fitting or group, key=lambda p: (p.rows, p.key))
        meaning = meaning_of(known.uri) if known is not None else None
        if meaning is None:
            expected = {a.column: a.default for a in mapping.attributes if a.level == "code"} | dict(usual[chief.kind])
            symbols = {
                name: symbol.split("|")[0]
                for name, symbol in chief.symbols.items()
                if symbol != ANY and expected[name] not in symbol.split("|")
            }
            meaning = Meaning(mapping.name, chief.main_id, symbols)
        entry = known or self._entry(base, chief, mapping)
        if known is None or known.uri is None or "#omop=" not in known.uri:
            page = CDM if mapping.fixed else f"{ATHENA}{chief.main_id}"
            uri = meaning.uri((entry.uri or page).split("#")[0])
            self.entries[base] = entry = replace(entry, uri=uri)
        for profile in group:
            differing = dict(_differences(mapping, profile, entry, meaning, usual))
            if known is not None and known.unit and differing.get("unit_text", "none") != "none":
                yield profile, base  # intake refuses the row: its unit differs
            else:
                yield profile, self._variant(entry, profile, meaning, differing) if differing else base

    def _entry(self, code: str, profile: Profile, mapping: OmopMapping) -> Entry:
        if mapping.fixed:
            entry = self._new(code, mapping.name_en, kind=profile.kind)
            return replace(entry, name_ko=mapping.name_ko, tier="never" if code == BIRTH else "room")
        parent = None
        if profile.standard is not None and profile.standard[0] != code:
            parent, name = profile.standard
            if self.entry(parent) is None:
                self.entries[parent] = self._new(parent, name, kind="event")
        return replace(self._new(code, profile.name, kind=profile.kind), unit=profile.unit, parent=parent)

    def _new(self, code: str, name: str, *, kind: Kind) -> Entry:
        return Entry(code=code, name_ko=name, name_en=name, kind=kind, scope=self.scope, tier="room")

    def _variant(self, base: Entry, profile: Profile, meaning: Meaning, differing: Mapping[str, str]) -> str:
        """Return the code of a variant of ``base``; make its entry."""
        text = "&".join(f"{name}={symbol}" for name, symbol in sorted(differing.items()))
        code = f"{base.code}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if self.entry(code) is None:
            symbols = {**meaning.symbols, **{k: v for k, v in differing.items() if k not in ("kind", "unit_text")}}
            uri = Meaning(meaning.mapping, meaning.main_id, symbols).uri((base.uri or "").split("#")[0])
            name = f"{base.name_en} ({text})"[:200].replace("|", "/")
            unit = profile.unit if profile.kind == "number" else None
            self.entries[code] = replace(
                self._new(code, name, kind=profile.kind), unit=unit, parent=base.code, uri=uri, scope=base.scope
            )
        return code


def _is_same_unit(unit: str | None, other: str | None) -> bool:
    return unit == other or any(unit in units and other in units for units in SAME_UNITS)


def _in_unit(unit: str | None, profile: Profile) -> Profile:
    """Return ``profile`` in a ``unit`` of the same size, with its own unit as the text of the source."""
    if profile.unit == unit or not _is_same_unit(profile.unit, unit) or profile.symbols["unit_source_value"] != "unit":
        return profile
    return replace(profile, unit=unit, symbols={**profile.symbols, "unit_source_value": f"={profile.unit}"})


def _most_common(attribute: Attribute, profiles: Sequence[Profile]) -> str:
    """Return the most frequent symbol of ``attribute``, the smallest of several; its default without any."""
    rows: Counter[str] = Counter()
    for profile in profiles:
        for symbol in profile.symbols[attribute.column].split("|"):
            if symbol != ANY and not symbol.startswith("="):
                rows[symbol] += profile.rows
    return min(rows, key=lambda symbol: (-rows[symbol], symbol)) if rows else attribute.default


def _differences(
    mapping: OmopMapping, profile: Profile, entry: Entry, meaning: Meaning, usual: Mapping[Kind, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield the attributes of ``profile`` that its code and source do not say, with their symbols."""
    for attribute in mapping.attributes:
        symbol = profile.symbols[attribute.column]
        at_source = usual[profile.kind] if attribute.level == "delivery" else {}
        expected = meaning.symbols.get(attribute.column, at_source.get(attribute.column, attribute.default))
        if symbol != ANY and expected not in symbol.split("|"):
            yield attribute.column, symbol.split("|")[0]
    if profile.main_id != meaning.main_id and not mapping.fixed:
        yield "concept", str(profile.main_id)
    if profile.kind != entry.kind:
        yield "kind", profile.kind
    elif profile.kind == "number" and not _is_same_unit(profile.unit, entry.unit):
        yield "unit_text", profile.unit or "none"
