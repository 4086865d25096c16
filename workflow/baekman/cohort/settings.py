"""The cohort's part of the configuration, as the store's own types; None stands for the defaults."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from baekman.cohort.sites import SiteFilters
from baekman.genome.par import read_par
from baekman.genome.regions import Region
from baekman.gvcf.thresholds import Thresholds


def configuration_of(cohort: Path, config: Path | None) -> Path | None:
    """``config``, else that of the workspace whose cohort this is: ``W/config.yaml`` of ``W/cohort``, if there."""
    beside = cohort.absolute().parent / "config.yaml"
    return beside if config is None and cohort.name == "cohort" and beside.is_file() else config


def _settings(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    from baekman.config.loading import load_config

    return load_config(Path.cwd(), file=config)


def _section(config: Path | None, name: str) -> dict[str, Any]:
    section: dict[str, Any] = _settings(config).get(name) or {}
    return section


def _known(section: dict[str, Any], kind: type) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in section.items() if key in names}


def thresholds(config: Path | None) -> Thresholds:
    """When a record is called, and the GQ bands: config section ``cohort``."""
    return Thresholds(**_known(_section(config, "cohort"), Thresholds))


def aliases(config: Path | None) -> dict[str, str]:
    """Contig aliases, alias to the reference's name: config key ``cohort.contig_aliases``."""
    return dict(_section(config, "cohort").get("contig_aliases") or {})


def par_regions(config: Path | None) -> list[Region] | None:
    """The pseudo-autosomal regions of config key ``par_regions``; None where it says nothing of them."""
    path = _settings(config).get("par_regions")
    return read_par(Path(path)) if path else None


def site_filters(config: Path | None) -> SiteFilters | None:
    """Thresholds of the site filters: config section ``sites``; None without a configuration."""
    return SiteFilters(**_known(_section(config, "sites"), SiteFilters)) if config is not None else None
