"""The cohort's part of the configuration: as the store's own types, and compared with a store that exists."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman.cohort.sites import SiteFilters
from baekman.errors import InputRefused, Problem
from baekman.genome.chromosomes import chromosome_kind
from baekman.genome.contigs import Contig
from baekman.genome.par import known_par, par_of_reference, read_par
from baekman.genome.regions import Region
from baekman.genome.shards import read_shards, shards_hash
from baekman.genome.targets import DEFAULT_PADDING, Targets, read_targets, targets_hash
from baekman.gvcf.thresholds import GvcfRules, Thresholds
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    from baekman.cohort.snapshot import Snapshot
    from baekman.cohort.store import Store

# the keys of the section ``cohort`` that a store keeps for its life
FIXED_THRESHOLDS = ("min_gq", "min_dp", "min_het_percent", "gq_bands")
SET_BACK = "it is fixed for the life of a cohort: set it back, or make a new cohort with it"

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Areas:
    """The areas of a reference in which a cohort is special.

    ``par``: the pseudo-autosomal regions; None: those of a known reference (``par.known_par``). ``targets``: the BED
    file of the target regions; None: the whole genome. ``padding``: bases around targets where variants are called.
    """

    par: Sequence[Region] | None = None
    targets: Path | None = None
    padding: int = DEFAULT_PADDING

    def description(self, name: str, *, contigs: Mapping[str, int], aliases: Mapping[str, str]) -> dict[str, Any]:
        """Return the keys of ``store.json`` on the areas, on the reference ``name`` with these ``contigs``."""
        par = known_par(name, contigs=contigs) if self.par is None else self.par
        targets = read_targets(self.targets, lengths=contigs, aliases=aliases) if self.targets else None
        return {
            "par_regions": [asdict(region) for region in sorted(set(par))],
            "target_regions": targets_hash(targets.regions) if targets is not None else None,
            "target_padding": self.padding,
        }


def configuration_of(cohort: Path, config: Path | None) -> Path | None:
    """Return ``config``; without it, the workspace's ``W/config.yaml`` for a cohort ``W/cohort``, if it exists."""
    of_workspace = cohort.absolute().parent / "config.yaml"
    return of_workspace if config is None and cohort.name == "cohort" and of_workspace.is_file() else config


def read_settings(cohort: Path, config: Path | None) -> Settings | None:
    """Return the settings for the store at ``cohort`` (see ``configuration_of``); None without a configuration."""
    path = configuration_of(cohort, config)
    if path is None:
        return None
    from baekman.config.loading import load_config

    return load_config(Path.cwd(), file=path)


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """The settings of a batch: the rules of reading its gVCFs, and the site filters of its snapshot.

    ``filters``: None for those of the snapshot before. ``least``: least number of participants that its snapshot adds.
    """

    rules: GvcfRules
    filters: SiteFilters | None = None
    least: int = 1


def batch_settings(store: Store, config: Path | None, *, place: Path) -> BatchSettings:
    """Return the settings of a batch by ``config``; without one, those of the store.

    ``place``: the path of the store as it was typed (``configuration_of``).

    Raises InputRefused for a fixed setting that the store was made with another value of.
    """
    settings = read_settings(place, config)
    if settings is None:
        return BatchSettings(rules=store.rules)
    require_fixed(store, settings, contigs=_contigs_of(store, Path(settings["reference"])))
    return BatchSettings(
        rules=rules_of(settings["cohort"]), filters=site_filters(settings), least=settings["cohort"]["min_batch"]
    )


def _contigs_of(store: Store, reference: Path) -> list[Contig]:
    """Return the contigs of a FASTA; a workspace keeps them."""
    from baekman.genome.reference import cached_reference

    workspace = Workspace(store.workspace)
    with tempfile.TemporaryDirectory(prefix="baekman-reference-") as scratch:
        cache = workspace.intake_cache if workspace.config.is_file() else Path(scratch)
        return list(cached_reference(reference, cache=cache)[1].values())


def require_fixed_in(workspace: Workspace, settings: Settings) -> None:
    """Raise InputRefused for a fixed setting that the cohort of ``workspace`` was made with another value of.

    Target regions that do not fit the reference are refused too, without a cohort as well.
    """
    from baekman.cohort.store import open_store
    from baekman.genome.reference import cached_reference

    has_cohort = (workspace.cohort / "store.json").is_file()
    if not has_cohort and not settings["target_regions"]:
        return
    _, contigs = cached_reference(Path(settings["reference"]), cache=workspace.intake_cache)
    if has_cohort:
        require_fixed(open_store(workspace.cohort), settings, contigs=list(contigs.values()))
    else:
        targets_of(settings, contigs={contig.name: contig.length for contig in contigs.values()})


def settings_of_store(settings: Settings) -> dict[str, Any]:
    """Return the arguments of ``create_store`` by a configuration; no regions where only the reference tells them."""
    path = settings["par_regions"]
    return {
        "thresholds": thresholds_of(settings["cohort"]),
        "rules": rules_of(settings["cohort"]),
        "shards_file": Path(settings["shards"]) if settings["shards"] else None,
        "areas": Areas(
            par=read_par(Path(path)) if path else par_of_reference(settings["reference_name"]) or None,
            targets=Path(settings["target_regions"]) if settings["target_regions"] else None,
            padding=settings["target_padding"],
        ),
    }


def thresholds_of(section: Mapping[str, Any]) -> Thresholds:
    """Return the thresholds of calls and the GQ bands in the section ``cohort`` of a configuration."""
    names = {field.name for field in fields(Thresholds)}
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in section.items() if key in names
    }
    return Thresholds(**known)


def rules_of(section: Mapping[str, Any]) -> GvcfRules:
    """Return the rules of reading a gVCF in the section ``cohort`` of a configuration."""
    aliases = section.get("contig_aliases", {})
    return GvcfRules(
        aliases={str(alias): contig for alias, contig in aliases.items()},  # YAML reads 20 as a number
        ignored=tuple(section.get("ignore_contigs", ())),
        max_contradicting=section.get("max_contradicting", GvcfRules.max_contradicting),
    )


def targets_of(settings: Settings, *, contigs: Mapping[str, int]) -> Targets | None:
    """Return the ``target_regions`` of a configuration on a reference with these ``contigs``; None without any.

    Raises InputRefused for lines that are no region of the reference.
    """
    path = settings["target_regions"]
    aliases = rules_of(settings["cohort"]).aliases
    padding = settings["target_padding"]
    return read_targets(Path(path), lengths=contigs, aliases=aliases, padding=padding) if path else None


def par_of(settings: Settings, *, contigs: Mapping[str, int]) -> Sequence[Region]:
    """Return the pseudo-autosomal regions by ``par_regions``, or those of a known reference with these ``contigs``."""
    path = settings["par_regions"]
    return read_par(Path(path)) if path else known_par(settings["reference_name"], contigs=contigs)


def site_filters(settings: Settings) -> SiteFilters:
    """Return the thresholds of the site filters: section ``sites``."""
    return SiteFilters(**settings["sites"])


def check_bands(bands: Sequence[int]) -> list[Problem]:
    """Return the problem of GQ bands that do not tile 0 to 99."""
    if bands and bands[0] == 0 and all(low < high for low, high in pairwise(bands)) and bands[-1] <= 99:
        return []
    return [
        Problem(
            file="cohort.gq_bands",
            expected="lower borders that begin with 0 and rise to at most 99",
            found=", ".join(map(str, bands)),
        )
    ]


def check_rules(rules: GvcfRules, *, contigs: Sequence[str]) -> list[Problem]:
    """Return the problems of aliases and ignored contigs on a reference with these ``contigs``."""
    return [*_alias_problems(rules.aliases, contigs), *_ignored_problems(rules, contigs)]


def _alias_problems(aliases: Mapping[str, str], contigs: Sequence[str]) -> Iterator[Problem]:
    file = "cohort.contig_aliases"
    for alias, target in aliases.items():
        place = f"alias {alias}"
        if target not in contigs:
            turned = f"; a pair is `name in the gVCF: name in the reference`: write {target}: {alias}"
            yield Problem(
                file=file,
                place=place,
                expected="the name of a contig of the reference",
                found=repr(target),
                action=turned.removeprefix("; ") if alias in contigs else "",
            )
        elif alias in contigs and alias != target:
            yield Problem(
                file=file,
                place=place,
                expected="a name that no contig of the reference has",
                found="one of its contigs",
            )


def _ignored_problems(rules: GvcfRules, contigs: Sequence[str]) -> Iterator[Problem]:
    for entry in rules.ignored:
        found = "a contig of the reference" if entry in contigs else "a name of cohort.contig_aliases"
        if entry in contigs or entry in rules.aliases:
            yield Problem(
                file="cohort.ignore_contigs",
                place=f"entry {entry}",
                expected="the name of a contig that the reference lacks",
                found=found,
                action="leave it out here",
            )


def require_fixed(store: Store, settings: Settings, *, contigs: Sequence[Contig] | None) -> None:
    """Raise InputRefused with both values of each of the ``settings`` that ``store`` was made with another value of.

    ``contigs``: those of the configuration's reference; None where they are not known.
    """
    lengths = {contig.name: contig.length for contig in store.contigs}
    targets = targets_of(settings, contigs=lengths)
    wanted: dict[str, Any] = {
        "target_regions": targets_hash(targets.regions) if targets is not None else None,
        "target_padding": settings["target_padding"],
        "thresholds": {name: settings["cohort"][name] for name in FIXED_THRESHOLDS},
        "par_regions": [asdict(region) for region in par_of(settings, contigs=lengths)],
    }
    if settings["shards"]:
        wanted["shards"] = shards_hash(read_shards(Path(settings["shards"])))
    if contigs is not None:
        wanted["contigs"] = [asdict(contig) for contig in contigs]
    if problems := fixed_problems(store.description(), wanted, file="configuration"):
        raise InputRefused(problems)


def fixed_problems(stored: Mapping[str, Any], wanted: Mapping[str, Any], *, file: str) -> list[Problem]:
    """Return a problem for each fixed setting that differs between ``stored`` and ``wanted``, with both values.

    Both are descriptions of a store, as in ``store.json``; ``wanted`` may be a part of one.
    """
    return [
        Problem(
            file=file, place=place, expected=f"{expected}, as the cohort was made with", found=found, action=SET_BACK
        )
        for place, expected, found in _differences(stored, wanted)
    ]


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the key, the stored and the wanted value, in words."""
    if wanted.get("reference", stored["reference"]) != stored["reference"]:
        yield "reference_name", stored["reference"], wanted["reference"]
    if "contigs" in wanted:
        yield from _differing_contigs(stored["contigs"], wanted["contigs"])
    if "shards" in wanted and wanted["shards"] != stored["shards"]:
        name = "the shard table with SHA-256 {}"
        yield "shards", name.format(stored["shards"]), name.format(wanted["shards"])
    for name in FIXED_THRESHOLDS:
        of_store = stored["thresholds"][name]
        of_settings = wanted["thresholds"].get(name, of_store)
        if of_store != of_settings:
            yield f"cohort.{name}", str(of_store), str(of_settings)
    if "par_regions" in wanted and _regions(stored["par_regions"]) != _regions(wanted["par_regions"]):
        yield "par_regions", _shown(stored["par_regions"]), _shown(wanted["par_regions"])
    # a store of an earlier version has neither key
    of_store, of_settings = stored.get("target_regions"), wanted.get("target_regions")
    if "target_regions" in wanted and of_store != of_settings:
        yield "target_regions", _shown_targets(of_store), _shown_targets(of_settings)
    padding = stored.get("target_padding", DEFAULT_PADDING)
    if wanted.get("target_padding", padding) != padding:
        yield "target_padding", f"{padding} bases", f"{wanted['target_padding']} bases"


def _differing_contigs(
    stored: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    if len(stored) != len(wanted):
        yield "reference", f"a reference of {len(stored)} contigs", f"{len(wanted)} contigs"
        return
    for own, other in zip(stored, wanted, strict=True):
        if any(own[key] != other[key] for key in ("name", "length", "m5")):
            yield "reference", _contig(own), _contig(other)
            return


def _contig(contig: Mapping[str, Any]) -> str:
    return f"contig {contig['name']} of {contig['length']} bases with M5 {contig['m5']}"


def _regions(regions: Sequence[Mapping[str, Any]]) -> set[tuple[str, int, int]]:
    return {(chromosome_kind(region["contig"]), region["start"], region["end"]) for region in regions}


def _shown(regions: Sequence[Mapping[str, Any]]) -> str:
    texts = sorted(str(Region(**region)) for region in regions)
    return f"the regions {', '.join(texts)}" if texts else "no regions"


def _shown_targets(sha256: str | None) -> str:
    return f"the target regions with SHA-256 {sha256}" if sha256 else "no target regions (the whole genome)"


def applied_settings(store: Store, snapshot: Snapshot, *, batch: str | None) -> dict[str, Any]:
    """Return the settings that a store, a batch and a snapshot were made with, by the keys of the configuration.

    ``batch``: None where no batch was made. Rules are left out for a batch that was merged or rewritten since.
    """
    from baekman.cohort.roster import read_rules

    description = store.description()
    rules = read_rules(store, batch) if batch is not None else {}
    named = {"aliases": "contig_aliases", "ignored": "ignore_contigs"}
    return {
        "reference_name": store.reference,
        "shards_sha256": description["shards"],
        "par_regions": [str(region) for region in store.par_regions],
        "target_regions_sha256": description.get("target_regions"),
        "cohort": {
            **{name: description["thresholds"][name] for name in FIXED_THRESHOLDS},
            **{named.get(name, name): value for name, value in rules.items()},
        },
        "sites": asdict(snapshot.filters),
    }


def not_applied(filters: SiteFilters, settings: Settings, *, snapshot: int) -> list[str]:
    """Return a sentence for each site filter that ``snapshot`` was made with another value of than in ``settings``."""
    wanted = asdict(site_filters(settings))
    return [
        f"sites.{name}: snapshot {snapshot} has {value}; the configuration's {wanted[name]} applies from the next batch"
        for name, value in asdict(filters).items()
        if value != wanted[name]
    ]
