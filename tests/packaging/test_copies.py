"""The copies that users edit or look at are those of the package, which is the truth."""

from __future__ import annotations

import pytest
from baekman import data
from support import PROJECT

COPIES = ("config/config.yaml", "config/qc_thresholds.yaml", "resources/par_GRCh37.bed", "resources/par_GRCh38.bed")


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_the_package_s_file_byte_for_byte(copy: str) -> None:
    edited = PROJECT / copy
    assert edited.read_bytes() == data.path(edited.name).read_bytes()


def test_no_other_file_waits_to_be_compared() -> None:
    present = {
        str(file.relative_to(PROJECT)) for folder in ("config", "resources") for file in (PROJECT / folder).iterdir()
    }
    of_the_repository = {"resources/systemd", "resources/containers", "resources/conda"}
    assert present == {*COPIES, "config/README.md", *of_the_repository}


def test_a_checkout_uses_its_own_workflow_files_and_its_own_defaults() -> None:
    assert data.workflow_folder() == PROJECT
    assert data.user_file("config.yaml") == PROJECT / "config" / "config.yaml"
    assert data.user_file("par_GRCh38.bed") == data.path("par_GRCh38.bed")
