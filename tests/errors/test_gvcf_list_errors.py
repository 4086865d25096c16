"""A list of gVCFs is refused whole, with all bad lines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from baekman.cohort.gvcf_list import Member, read_members
from baekman.errors import InputRefused
from support.store_tools import gvcf_text


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Return a gVCF that is listed."""
    path = tmp_path / "good.g.vcf"
    path.write_text(gvcf_text([], contigs={"c1": 300}))
    return path


def test_all_bad_lines_of_a_list_are_reported(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(f"P1\t{good}\nP1\t{good}\nP2\tnone.g.vcf\nP/3\t{good}\nP4\t{good}\tboy\nP5\n")
    with pytest.raises(InputRefused) as refused:
        read_members(path)
    assert str(refused.value).splitlines() == [
        "list.tsv: line 2: expected each participant once, found the participant of line 1 again",
        "list.tsv: line 2: expected each gVCF once, found the file of line 1 again",
        "list.tsv: line 3: expected a gVCF that exists, found no such file",
        "list.tsv: line 4: expected an ID of letters, digits, '.', '_' or '-', found something else",
        "list.tsv: line 4: expected each gVCF once, found the file of line 1 again",
        "list.tsv: line 5: expected each gVCF once, found the file of line 1 again",
        "list.tsv: line 5: expected sex as one of female, male, unknown, found something else",
        "list.tsv: line 6: expected participant_id, path and optionally sex, separated by tabs, found 1 columns",
    ]
    path.write_bytes(b"P1\t\xff\xfe\n")
    with pytest.raises(InputRefused) as refused:
        read_members(path)
    assert str(refused.value) == "list.tsv: expected UTF-8 text, found other bytes"
    path.write_text("")
    with pytest.raises(InputRefused) as refused:
        read_members(path)
    assert str(refused.value) == "list.tsv: line 1: expected at least one participant, found none"


def test_a_list_with_a_byte_order_mark_is_read(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(f"P1\t{good}\tmale\n", encoding="utf-8-sig")
    assert read_members(path) == [Member(participant_id="P1", gvcf=str(good), sex="male")]


def test_a_list_may_come_through_a_pipe_and_be_no_folder(good: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, f"P1\t{good}\tmale\n".encode())
    os.close(writer)
    assert read_members(Path(f"/dev/fd/{reader}")) == [Member(participant_id="P1", gvcf=str(good), sex="male")]
    os.close(reader)
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputRefused) as refused:
            read_members(path)
        assert str(refused.value) == f"{path.name}: expected a list of gVCFs, found none that can be read"


def test_an_id_with_the_table_name_of_another_ones_reference_blocks(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    shutil.copy(good, tmp_path / "other.g.vcf")
    path.write_text(f"P1\t{good}\nP1.reference\tother.g.vcf\n")
    with pytest.raises(InputRefused) as refused:
        read_members(path)
    assert str(refused.value) == (
        "list.tsv: line 2: expected an ID of letters, digits, '.', '_' or '-', found '.reference' at its end"
    )


def test_paths_that_can_be_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / "list.tsv"
    path.write_text(f"P1\t{'x' * 5000}\nP2\ta\0b\nP3\tloop\n")
    with pytest.raises(InputRefused) as refused:
        read_members(path)
    assert str(refused.value).splitlines() == [
        f"list.tsv: line {number}: expected a gVCF that exists, found no such file" for number in (1, 2, 3)
    ]
