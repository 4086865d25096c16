"""The stdout of one pipe for several pipes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from baekman.tools.fan_out import fan_out
from baekman.tools.pipes import PipeFailed

SOURCE = ["seq", "0", "299999"]
SLOW = ["sh", "-c", "cat >/dev/null; sleep 100"]


def test_each_reader_gets_all_of_the_stdout(tmp_path: Path) -> None:
    copies = {tmp_path / name: [["cat"]] for name in ("a", "b")}
    fan_out([SOURCE, ["cat"]], {**copies, tmp_path / "count": [["cat"], ["wc", "-l"]]})
    text = "".join(f"{number}\n" for number in range(300_000))
    assert [path.read_text() for path in copies] == [text, text]
    assert (tmp_path / "count").read_text().strip() == "300000"


@pytest.mark.parametrize(
    ("source", "reader", "failed"),
    [
        (SOURCE, ["sh", "-c", "exit 3"], "sh ended with exit code 3"),
        (SOURCE, ["sh", "-c", "head -c 100000 >/dev/null; exit 4"], "sh ended with exit code 4"),
        (SOURCE, ["true"], "a reader of seq ended before it"),
        (["sh", "-c", "echo half; exit 5"], ["cat"], "sh ended with exit code 5"),
        # the others are waited for when it fails
        (["sh", "-c", "echo half; exec >&-; sleep 0.2; exit 5"], ["cat"], "sh ended with exit code 5"),
    ],
)
def test_a_failure_ends_all_of_them_and_names_the_tool(
    tmp_path: Path, source: list[str], reader: list[str], failed: str
) -> None:
    began = time.monotonic()
    with pytest.raises(PipeFailed, match=failed):
        fan_out([source], {tmp_path / "a": [["cat"]], tmp_path / "b": [["cat"], reader], tmp_path / "c": [SLOW]})
    assert time.monotonic() - began < 50
