"""The hook of MkDocs: pages outside of docs/ join the site, and links lead where they lead in the repository."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from markdown import Extension, Markdown

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parents[2]
# pages of the repository that do not lie in docs/, with their place in the site
OUTSIDE = {
    "README.md": "index.md",
    "config/README.md": "configuration.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_INSIDE = {place: path for path, place in OUTSIDE.items()}
_FENCE = re.compile(r"^ *(```|~~~)")
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
_CODE_WITH_BAR = re.compile(r"`[^`]*\\\|[^`]*`")
_ITEM = re.compile(r"^ *([-*]|\d+\.) ")


class TwoBlanks(Extension):
    """Nested blocks begin after two blanks, as the pages of the repository have them; Markdown's default is four."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Build the parser of blocks again with this width; other extensions join it afterwards."""
        md.tab_length = 2
        md.build_parser()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let two blanks begin a nested block."""
    config.markdown_extensions.insert(0, TwoBlanks())  # type: ignore[arg-type]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of ``OUTSIDE`` to the site."""
    from mkdocs.structure.files import File

    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(PROJECT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the text of a page with the links and lists of the site."""
    return page_text(markdown, place=page.file.src_uri)


def page_text(markdown: str, *, place: str) -> str:
    """Return the text of the page ``place`` of the site, from its text in the repository.

    Links to pages outside of ``docs/`` lead to their places in the site. A link to another file of the repository is
    its text alone. A list begins without an empty line before it, as in the repository.
    """
    lines: list[str] = []
    in_fence = False
    for line in markdown.splitlines():
        if _FENCE.match(line):
            in_fence = not in_fence
            line = line.replace("```console", "```sh")  # the site would show commands without a prompt as output
        elif not in_fence:
            line = _LINK.sub(lambda link: _link(link, place=place), line)
            if line.startswith("|"):
                line = _CODE_WITH_BAR.sub(lambda code: code[0].replace("\\|", "|"), line)
            if _ITEM.match(line) and lines and lines[-1].strip() and not _continues(lines):
                lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _continues(lines: list[str]) -> bool:
    """Return whether the last paragraph of ``lines`` is an item of a list."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False


def _link(link: re.Match[str], *, place: str) -> str:
    """Return a link of the repository as the site has it."""
    path = _INSIDE.get(place, f"docs/{place}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link["target"]))
    if target in OUTSIDE:
        target = OUTSIDE[target]
    elif target.startswith("docs/"):
        target = target.removeprefix("docs/")
    else:
        return link["text"]
    target = posixpath.relpath(target, posixpath.dirname(place) or ".")
    return f"{link['image']}[{link['text']}]({target}{link['anchor'] or ''})"
