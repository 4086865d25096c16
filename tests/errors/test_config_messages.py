"""A wrong configuration is refused before any work: every fault at once, with key, expected and found value."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.config.loading import load_config
from baekman.errors import InputRefused

CASES = {
    "no reference": (
        "caller: bcftools\n",
        "config.yaml: top level: expected the key reference, found none; see config/README.md",
    ),
    "absent reference": (
        "reference: nowhere.fa\n",
        "config.yaml: reference: expected a file that exists, found no file {folder}/nowhere.fa;"
        " correct the path (a relative one is meant from the configuration file's folder)",
    ),
    "unknown caller": (
        "reference: genome.fa\ncaller: gatk3\n",
        "config.yaml: caller: expected one of bcftools, freebayes, gatk, deepvariant, found 'gatk3'; did you mean "
        "gatk?",
    ),
    "misspelt key": (
        "reference: genome.fa\ncohort: {min_qg: 20}\n",
        "config.yaml: cohort: expected one of the keys min_gq, min_dp, min_het_percent, gq_bands,"
        " max_contradicting, min_batch, contig_aliases, ignore_contigs, found min_qg; did you mean min_gq?",
    ),
    "text for a number": (
        "reference: genome.fa\nsites: {low_qual: high}\n",
        "config.yaml: sites.low_qual: expected a number, found 'high'",
    ),
    "number too large": (
        "reference: genome.fa\ncohort: {min_gq: 120}\n",
        "config.yaml: cohort.min_gq: expected a number of at most 99, found 120",
    ),
    "text for a mapping": (
        "reference: genome.fa\ngates: report\n",
        "config.yaml: gates: expected a mapping, found 'report'",
    ),
    "name with blanks": (
        "reference: genome.fa\nreference_name: my genome\n",
        "config.yaml: reference_name: expected letters, digits and . _ -, found 'my genome'",
    ),
    "repeated band": (
        "reference: genome.fa\ncohort: {gq_bands: [0, 20, 20]}\n",
        "config.yaml: cohort.gq_bands: expected a list without repetition, found a list",
    ),
    "not YAML": (
        "reference: [genome.fa\n",
        "config.yaml: line 2, column 1: expected YAML, found expected ',' or ']', but got '<stream end>'",
    ),
    "a list": (
        "- reference\n",
        "config.yaml: expected settings as `key: value`, found a list",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a reference."""
    (tmp_path / "genome.fa").write_text(">1\nACGT\n", encoding="ascii")
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_the_message_names_key_expected_and_found(folder: Path, case: str) -> None:
    text, message = CASES[case]
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        load_config(folder)
    assert str(refused.value) == message.format(folder=folder)


def test_all_faults_are_reported_at_once(folder: Path) -> None:
    (folder / "config.yaml").write_text("caller: none\nrename_reads: 3\ncohort: {min_dp: -1}\n", encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        load_config(folder)
    assert [str(reason).split(": ")[1] for reason in refused.value.problems] == [
        "top level",
        "caller",
        "cohort.min_dp",
        "rename_reads",
    ]


def test_an_absent_file_is_refused(folder: Path) -> None:
    with pytest.raises(InputRefused, match=r"^mine.yaml: expected a configuration file, found no such file"):
        load_config(folder, file=folder / "mine.yaml")


def test_a_workspace_without_a_configuration_is_refused(tmp_path: Path) -> None:
    """The project's own configuration is in force then, and its reference does not exist."""
    with pytest.raises(InputRefused) as refused:
        load_config(tmp_path / "mistyped")
    assert str(refused.value) == (
        "config.yaml: expected a configuration in the workspace, or one given by --config, found none;"
        " write `reference: PATH` into config.yaml of the workspace, or correct --workspace"
    )
