"""The size of modules, folders and functions, and the picture of the floors in the architecture page."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "workflow" / "baekman"
MOST_LINES, MOST_MODULES, MOST_LINES_OF_A_FUNCTION, MOST_PARAMETERS = 400, 16, 60, 7
# the parameters of a command are its options, which Typer reads from the signature
COMMANDS = PACKAGE / "cli"


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py*") if path.suffix in (".py", ".pyx"))


def functions() -> Iterator[tuple[str, ast.FunctionDef, Path]]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(PACKAGE)}: {node.name}", node, path


def test_no_module_is_longer_than_400_lines() -> None:
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_no_folder_has_more_than_16_modules() -> None:
    counts = Counter(path.parent for path in modules() if path.name != "__init__.py" and not path.name.startswith("_"))
    assert {str(folder): count for folder, count in counts.items() if count > MOST_MODULES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node, _ in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_function_has_more_than_seven_parameters() -> None:
    counts = {
        name: len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
        for name, node, path in functions()
        if path.parent not in (COMMANDS, COMMANDS / "cohorts")
    }
    assert {name: count for name, count in counts.items() if count > MOST_PARAMETERS} == {}


def test_the_picture_shows_the_floors_that_lint_holds() -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = configuration["tool"]["importlinter"]["contracts"][0]
    floors = [re.split(r"\s*[|:]\s*", layer) for layer in contract["layers"]]
    picture = (PROJECT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    drawn: dict[int, list[str]] = {}
    for height, room in re.findall(r'<text x="\d+" y="(\d+)" text-anchor="middle"[^>]*>(\w+)<', picture):
        drawn.setdefault(int(height), []).append(room)
    assert [sorted(rooms) for _, rooms in sorted(drawn.items())] == [sorted(floor) for floor in floors]


def test_every_package_of_the_floors_is_in_the_table_of_folders() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    table = page.split("| Package | Content |")[1].split("## The walk")[0]
    assert {room for room in rooms if f"`{room}/`" not in table} == set()
