"""Chromium without a display: what a reader of a page would see."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "chromium-headless-shell"
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing of a page can reach a server
    "--timeout=60000",
)
TELEPHONE, PAPER, SCREEN = 360, 688, 1200  # pixels; PAPER: A4 without the margins of report.css

# Shows each page in a frame of each width, and writes what it measured into the element `seen`.
HARNESS = """<!doctype html><meta charset="utf-8"><pre id="seen"></pre><script>
const pages = PAGES, seen = [];
function look(frame, page) {
  const inner = frame.contentWindow, body = inner.document;
  const wide = [...body.querySelectorAll('body *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > page.width + 1 && !element.closest('.wide, svg, pre, .languages');
  });
  const glyphs = ['한', '글', '\\u{10fffe}'].map(letter => {
    const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
    pen.font = '32px ' + inner.getComputedStyle(body.body).fontFamily;
    pen.fillText(letter, 10, 60);
    return canvas.toDataURL();
  });
  const ids = [...body.querySelectorAll('[id]')].map(element => element.id);
  seen.push({name: page.name, width: page.width,
    overflow: wide.slice(0, 5).map(element => element.outerHTML.slice(0, 120)),
    scroll: body.documentElement.scrollWidth,
    requests: inner.performance.getEntriesByType('resource').map(entry => entry.name),
    korean: glyphs[0] !== glyphs[1] && glyphs[0] !== glyphs[2],
    ids: ids.filter((id, place) => ids.indexOf(id) !== place).slice(0, 5),
    text: body.body.innerText});
  frame.remove();
}
for (const page of pages) {
  const frame = document.createElement('iframe');
  frame.style.cssText = `border:0;width:${page.width}px;height:800px`;
  frame.srcdoc = page.html;
  frame.onload = () => { look(frame, page); document.getElementById('seen').textContent = JSON.stringify(seen); };
  document.body.append(frame);
}
</script>"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A page at one width.

    Attributes:
        overflow: Elements that reach beyond the right edge.
        scroll: The width of the page's content in pixels.
        requests: The URLs that the page asked for.
        korean: Whether Korean letters have glyphs of their own.
        ids: IDs that stand twice.
        text: The visible text.
    """

    name: str
    width: int
    overflow: list[str]
    scroll: int
    requests: list[str]
    korean: bool
    ids: list[str]
    text: str


def program() -> str:
    """Return the path of Chromium; without it the test is skipped, in CI it fails."""
    path = shutil.which(PROGRAM)
    if path is None:
        message = f"{PROGRAM} is not on PATH: apt-get install {PROGRAM} (envs/apt.txt)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def look(pages: Mapping[str, str], folder: Path) -> list[Seen]:
    """Return each of ``pages`` (HTML by name) at each width; the test fails for a message on the console.

    On ``PAPER`` the rules for print apply. ``folder`` is for scratch files.
    """
    shown = [
        {"name": name, "width": width, "html": _printed(html) if width == PAPER else html}
        for name, html in pages.items()
        for width in (TELEPHONE, PAPER, SCREEN)
    ]
    harness = folder / "harness.html"
    harness.write_text(HARNESS.replace("PAGES", json.dumps(shown).replace("</", "<\\/")), encoding="utf-8")
    command = [program(), *OPTIONS, f"--user-data-dir={folder / 'chromium'}", "--dump-dom", harness.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert not (messages := re.findall(r".*CONSOLE.*", done.stderr)), messages
    match = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match is not None, done.stdout[:500]
    values: list[dict[str, Any]] = json.loads(unescape(match[1]))
    return [Seen(**value) for value in values]


def _printed(html: str) -> str:
    """Return ``html`` with the rules for print in force, and those for a screen not."""
    return html.replace("@media print", "@media all").replace("@media screen", "@media not all")


def assert_fit(seen: list[Seen], *, pages: int) -> None:
    """Assert that ``seen`` has all pages, which fit each width, ask for nothing and can show Korean."""
    assert len(seen) == 3 * pages
    for page in seen:
        place = escape(f"{page.name} at {page.width} pixels")
        assert (page.overflow, page.scroll <= page.width) == ([], True), place
        assert (page.requests, page.ids) == ([], []), place
        assert page.korean, f"{place}: no Korean glyphs (apt-get install fonts-noto-cjk)"
