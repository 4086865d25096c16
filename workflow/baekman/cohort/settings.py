"""The cohort's part of the configuration, as the store's own types; the path None means the defaults."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from baekman.cohort.sites import SiteFilters
from baekman.genome.par import read_par
from baekman.genome.regions import Region
from baekman.gvcf.thresholds import Thresholds


def configuration_of(cohort: Path, config: Path | None) -> Path | None:
    """Return ``config``; without it, the workspace's ``W/config.yaml`` for a cohort ``W/cohort``, if it exists."""
    of_workspace = cohort.absolute().parent / "config.yaml"
    return of_workspace if config is None and cohort.name == "cohort" and of_workspace.is_file() else config


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
    """Return the thresholds of calls and the GQ bands: section ``cohort`` of the configuration."""
    return Thresholds(**_known(_section(config, "cohort"), Thresholds))


def aliases(config: Path | None) -> dict[str, str]:
    """Return the reference's name of a contig by alias: key ``cohort.contig_aliases`` of the configuration."""
    return dict(_section(config, "cohort").get("contig_aliases") or {})


def par_regions(config: Path | None) -> list[Region] | None:
    """Return the pseudo-autosomal regions in the file of the key ``par_regions``; None without that key."""
    path = _settings(config).get("par_regions")
    return read_par(Path(path)) if path else None


def site_filters(config: Path | None) -> SiteFilters | None:
    """Return the thresholds of the site filters: section ``sites``; None without a configuration."""
    return SiteFilters(**_known(_section(config, "sites"), SiteFilters)) if config is not None else None
