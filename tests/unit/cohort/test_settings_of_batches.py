"""A batch and its snapshot have the settings of the configuration that they were made with, and say so."""

from __future__ import annotations

from pathlib import Path

from baekman.cohort.add import add_batch
from baekman.cohort.roster import read_rules
from baekman.cohort.settings import BatchSettings, applied_settings
from baekman.cohort.sites import SiteFilters
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.gvcf.thresholds import GvcfRules
from baekman.report.run_manifest import apply, differences
from support.small_cohort import BASES, member
from support.store_tools import hashes, write_reference

BEFORE = BatchSettings(rules=GvcfRules(), filters=SiteFilters(low_call_rate=0.2))
AFTER = BatchSettings(rules=GvcfRules(ignored=("decoy",), max_contradicting=7), filters=SiteFilters(low_call_rate=0.95))


def empty(folder: Path) -> Store:
    folder.mkdir()
    return create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"c1": BASES}))


def test_sites_have_the_filters_of_one_configuration(tmp_path: Path) -> None:
    """After a change of the site filters, sites are byte for byte those of a cohort that came in one batch."""
    members = [member(tmp_path, number) for number in range(4)]
    grown, at_once = empty(tmp_path / "grown"), empty(tmp_path / "at_once")
    add_batch(grown, batch="b1", members=members[:2], settings=BEFORE)
    first = hashes(grown.sites(1))
    add_batch(grown, batch="b2", members=members[2:], settings=AFTER)
    add_batch(at_once, batch="all", members=members, settings=AFTER)
    assert hashes(grown.sites(2)) == hashes(at_once.sites(1))
    assert hashes(grown.sites(1)) == first
    assert [read_snapshot(grown, number).filters for number in (1, 2)] == [BEFORE.filters, AFTER.filters]


def test_the_manifest_has_what_was_applied(tmp_path: Path) -> None:
    store = empty(tmp_path / "W")
    snapshot = add_batch(store, batch="b1", members=[member(tmp_path, 0)], settings=AFTER)
    assert read_rules(store, "b1") == {"aliases": {}, "ignored": ["decoy"], "max_contradicting": 7}
    made_with = applied_settings(store, snapshot, batch="b1")
    settings = {
        "caller": "gatk",
        "cohort": {"min_gq": 99, "max_contradicting": 7},
        "sites": {"low_call_rate": 0.5, "low_qual": 30.0},
    }
    applied = apply(settings, made_with)
    assert (applied["cohort"]["min_gq"], applied["sites"]["low_call_rate"], applied["caller"]) == (20, 0.95, "gatk")
    assert applied["cohort"]["ignore_contigs"] == ["decoy"]
    assert dict(differences(settings, applied)) == {"cohort.min_gq": 99, "sites.low_call_rate": 0.5}
