"""The configuration: precedence, defaults, paths."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from baekman.config import loading as config
from baekman.config.loading import load_config
from baekman.config.schema_errors import read_schema
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with a reference and a configuration of two settings."""
    (tmp_path / "genome.fa").write_text(">1\nACGT\n", encoding="ascii")
    (tmp_path / "config.yaml").write_text("reference: genome.fa\ncohort: {min_dp: 5}\n", encoding="utf-8")
    return tmp_path


def test_the_reference_is_enough_to_begin_with(workspace: Path) -> None:
    settings = load_config(workspace)
    assert settings["reference"] == str(workspace / "genome.fa")
    assert settings["reference_name"] == "genome"
    assert settings["gates"] == {"intake": "enforce", "qc": "enforce"}
    assert settings["qc_thresholds"] == str(config.THRESHOLDS_FILE)


def test_a_section_keeps_the_defaults_of_absent_keys(workspace: Path) -> None:
    assert load_config(workspace)["cohort"]["min_dp"] == 5
    assert load_config(workspace)["cohort"]["min_gq"] == 20


def test_an_own_file_goes_before_that_of_the_workspace(workspace: Path) -> None:
    other = workspace / "other" / "mine.yaml"
    other.parent.mkdir()
    other.write_text("reference: ../genome.fa\ncaller: freebayes\n", encoding="utf-8")
    settings = load_config(workspace, file=other)
    assert settings["caller"] == "freebayes"
    assert Path(settings["reference"]).samefile(workspace / "genome.fa")


def test_overrides_go_before_files_and_merge_into_sections(workspace: Path) -> None:
    settings = load_config(workspace, overrides={"caller": "freebayes", "cohort": {"min_gq": 30}})
    assert settings["caller"] == "freebayes"
    assert settings["cohort"]["min_gq"] == 30 and settings["cohort"]["min_dp"] == 5


def test_the_project_s_file_shows_every_default() -> None:
    """Settings and comments of ``config/config.yaml`` cannot go stale: it has the defaults of the schema."""
    shown = yaml.safe_load(config.PROJECT_FILE.read_text(encoding="utf-8"))
    schema = read_schema("config")
    defaults = config._with_defaults({"reference": "reference.fa"}, schema)
    assert shown == defaults


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), max_size=5), st.randoms())
def test_the_hash_does_not_depend_on_the_order_of_keys(settings: dict[str, object], random: object) -> None:
    items = list(settings.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert config.config_hash(dict(items)) == config.config_hash(settings)


@pytest.mark.parametrize(
    ("file", "name"), [("GRCh38.fa", "GRCh38"), ("hs37d5.fasta.gz", "hs37d5"), ("a.b.fna.bgz", "a.b")]
)
def test_a_reference_is_named_after_its_file(file: str, name: str) -> None:
    assert config.reference_name(Path(file)) == name
