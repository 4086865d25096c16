"""The reference is made of the code: pages and tables are those that ``make reference`` writes."""

from __future__ import annotations

import re

import baekman
import pytest
from documentation import commands, reference
from documentation.markdown import table, with_regions
from support import PROJECT

MADE = {str(path.relative_to(PROJECT)): text for path, text in reference.pages()}


@pytest.mark.parametrize("page", MADE)
def test_the_reference_is_that_of_the_code(page: str) -> None:
    path = PROJECT / page
    assert path.is_file() and path.read_text(encoding="utf-8") == MADE[page], "run make reference"


def test_every_command_has_an_example() -> None:
    text = MADE["docs/reference/commands.md"]
    sections = {section.split("\n")[0]: section for section in text.split("\n## baekman ")[1:]}
    assert set(sections) == {words for words, _ in commands.commands()} >= {"deliver", "cohort add", "hold accept"}
    assert {words for words, section in sections.items() if f"\n```sh\nbaekman {words}" not in section} == set()


def test_examples_have_options_that_their_command_has() -> None:
    wrong = []
    for words, command in commands.commands():
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        example = command.help.split("Example: ", 1)[1]
        wrong += [(words, word) for word in re.findall(r"(?<=\s)--?[a-z][\w-]*", example) if word not in known]
    assert wrong == []


def test_every_public_name_is_on_the_page_of_python() -> None:
    listed = [line for line in MADE["docs/reference/python.md"].splitlines() if line.startswith(":::")]
    assert listed == [f"::: baekman.{name}" for name in baekman.__all__ if name != "__version__"]


def test_a_region_of_a_page_is_written_and_the_rest_stays() -> None:
    page = "# A\n\n<!-- b c: made by `make reference` -->\nold\n<!-- end of b c -->\n\nend\n"
    assert with_regions(page, {"b c": "new\n"}) == page.replace("old", "\nnew\n")
    with pytest.raises(KeyError):
        with_regions(page, {})


def test_a_bar_in_a_cell_is_escaped() -> None:
    assert table(["a", "b"], [("1|2", "")]) == "| a | b |\n| --- | --- |\n| 1\\|2 |  |\n"
