"""Figures of reports: SVG inside HTML, without fonts or files of its own.

The colours are those of Okabe and Ito (2008), "Color Universal Design", which colour-blind readers can tell apart. Each
series has a marker or a hatch of its own too, so that a print in grey is enough. The same input gives the same bytes.
Labels are in Korean and in English: the page shows one of them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape, unescape
from typing import TYPE_CHECKING, Any, Literal

from baekman.report.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.6, 3.1  # inches: letters stay readable where a telephone shows the figure 330 pixels wide
LETTER = 0.068  # inches: the width of most letters
HANGUL_FROM, HANGUL_WIDTH = "\u1100", 1.8  # a Korean letter is wider
FIGURE_SPACE = "\u2007"  # as wide as a digit
INK, GRID = "#1c2530", "#dde3e9"
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
SETTINGS = {
    "svg.fonttype": "none",
    "font.family": [
        "DejaVu Sans"
    ],  # comes with matplotlib, so sizes do not depend on the machine; CSS has the last word
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.1,
    "hatch.linewidth": 0.5,
    "path.simplify": False,
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """The look of a series: colour, marker of points, dashes of a line, hatch of bars."""

    colour: str
    marker: str = "o"
    dashes: str = "-"
    hatch: str = ""


STYLES = (
    Style(colour=BLUE, marker="o", dashes="-", hatch=""),
    Style(colour=ORANGE, marker="^", dashes="--", hatch="////"),
    Style(colour=GREEN, marker="s", dashes="-.", hatch="...."),
    Style(colour=PURPLE, marker="D", dashes=":", hatch="xxxx"),
    Style(colour=SKY, marker="v", dashes="-", hatch="\\\\\\\\"),
    Style(colour=VERMILLION, marker="X", dashes="--", hatch="++++"),
    Style(colour=BLACK, marker="P", dashes="-.", hatch="----"),
    Style(colour=YELLOW, marker="*", dashes=":", hatch="oooo"),
)
VERDICT_STYLES: Mapping[str, Style] = {
    "accept": Style(colour=GREEN, marker="o", hatch=""),
    "hold": Style(colour=ORANGE, marker="^", hatch="////"),
    "reject": Style(colour=VERMILLION, marker="X", hatch="xxxx"),
}


@dataclass(kw_only=True)
class Plot:
    """A figure with one pair of axes, which the functions of this module fill.

    Attributes:
        name: Letters, digits and hyphens; begins the IDs of the figure's elements, so it is unique in a page.
        alt: The text for readers who do not see the figure.
        words: The Korean text of each English one in the figure.
        margin: Letters to leave room for at the left.
        slope: Letters to leave room for below the axis, for turned names.
    """

    name: str
    alt: Words
    figure: Figure
    axes: Axes
    words: dict[str, Words] = field(default_factory=dict)
    margin: int = 4
    slope: int = 0

    def text(self, words: Words) -> str:
        """Return the English text, and note the Korean one for the page."""
        self.words[words.en] = words
        return words.en

    def label(self, *, x: Words | None = None, y: Words | None = None) -> None:
        """Label the axes."""
        if x is not None:
            self.axes.set_xlabel(self.text(x))
        if y is not None:
            self.axes.set_ylabel(self.text(y))

    def points(self, x: Sequence[float], y: Sequence[float], *, name: Words, style: Style) -> None:
        """Add points; many of them are drawn smaller. Without points nothing is added."""
        if len(x):
            is_crowd = len(x) > 60
            self.axes.plot(
                *(x, y),
                linestyle="none",
                marker=style.marker,
                markersize=3.2 if is_crowd else 6.5,
                markerfacecolor=style.colour,
                markeredgecolor=style.colour if is_crowd else "white",
                markeredgewidth=0.3,
                label=self.text(name),
                clip_on=False,
                zorder=3,
            )

    def line(self, x: Sequence[float], y: Sequence[float], *, name: Words, style: Style, marked: bool = True) -> None:
        """Add a line, with a marker at each point unless ``marked`` is False."""
        self.axes.plot(
            *(x, y),
            color=style.colour,
            linestyle=style.dashes,
            linewidth=1.4,
            marker=style.marker if marked else "",
            markersize=4,
            label=self.text(name),
            zorder=3,
        )

    def limit(self, value: float, *, name: Words, rejects: bool) -> None:
        """Add a threshold across the figure; one that rejects is solid, one that holds is dashed."""
        style = VERDICT_STYLES["reject" if rejects else "hold"]
        dashes = "-" if rejects else "--"
        self.axes.axhline(value, color=style.colour, linestyle=dashes, linewidth=1.2, label=self.text(name), zorder=2)

    def bars(self, names: Sequence[Words], series: Sequence[tuple[Words, Sequence[float], Style]]) -> None:
        """Add horizontal bars: one for each of ``names`` from top to bottom, with the ``series`` stacked in it."""
        places = range(len(names))
        begin = [0.0] * len(names)
        for name, values, style in series:
            self.axes.barh(
                *(places, values),
                left=begin,
                height=0.7,
                color=style.colour,
                hatch=style.hatch,
                edgecolor="white",
                linewidth=0.4,
                label=self.text(name),
                zorder=3,
            )
            begin = [so_far + value for so_far, value in zip(begin, values, strict=True)]
        self._name_rows(names)

    def columns(self, names: Sequence[Words], series: Sequence[tuple[Words, Sequence[float], Style]]) -> None:
        """Add vertical columns, stacked: one for each of ``names`` from left to right."""
        begin = [0.0] * len(names)
        for name, values, style in series:
            self.axes.bar(
                *(range(len(names)), values),
                bottom=begin,
                width=0.75,
                color=style.colour,
                hatch=style.hatch,
                edgecolor="white",
                linewidth=0.4,
                label=self.text(name),
                zorder=3,
            )
            begin = [so_far + value for so_far, value in zip(begin, values, strict=True)]
        self.name_columns(names)

    def name_columns(self, names: Sequence[Words]) -> None:
        """Name the columns below the axis; of more than twelve only some are named."""
        step = -(-len(names) // 12)
        longest = max((len(name.en) for name in names), default=0)
        turned = longest * min(len(names), 12) > 60
        self.slope = round(longest * 0.6) if turned else 0
        self.axes.set_xticks(
            range(0, len(names), step),
            [self.text(name) for name in names[::step]],
            rotation=40 if turned else 0,
            ha="right" if turned else "center",
            rotation_mode="anchor" if turned else None,
        )
        self.axes.grid(visible=False, axis="x")

    def ranges(self, names: Sequence[Words], values: Sequence[tuple[float, float, float]], *, style: Style) -> None:
        """Add a row for each of ``names``: a line from the least to the largest value, a marker at the median."""
        for row, (low, middle, high) in enumerate(values):
            self.axes.plot([low, high], [row, row], color=style.colour, linewidth=2, alpha=0.55, zorder=3)
            self.axes.plot([middle], [row], style.marker, color=style.colour, markersize=5, zorder=4)
        self._name_rows(names)

    def box(self, x: tuple[float, float], y: tuple[float, float], *, name: Words, style: Style) -> None:
        """Add a region: values in it are what ``name`` expects."""
        self.axes.fill_between(
            *(x, [y[0], y[0]], [y[1], y[1]]),
            facecolor=style.colour,
            alpha=0.12,
            edgecolor=style.colour,
            linewidth=0.8,
            linestyle=style.dashes,
            label=self.text(name),
            zorder=1,
        )

    def whole_numbers(self, axis: Literal["x", "y"] = "x") -> None:
        """Mark an axis at whole numbers only."""
        from matplotlib.ticker import MaxNLocator

        chosen = self.axes.xaxis if axis == "x" else self.axes.yaxis
        chosen.set_major_locator(MaxNLocator(integer=True, nbins=6))

    def thousands(self, axis: Literal["x", "y"] = "y") -> None:
        """Write the numbers of an axis with commas, and millions as M."""
        chosen = self.axes.xaxis if axis == "x" else self.axes.yaxis
        self.margin = max(self.margin, 6) if axis == "y" else self.margin
        chosen.set_major_formatter(lambda value, _: f"{value / 1e6:g}M" if abs(value) >= 1e6 else f"{value:,.10g}")

    def _arrange(self) -> None:
        """Put the legend above the axes and leave room for names; lengths are estimated, which is fast."""
        width, height = self.figure.get_size_inches()
        handles, labels = self.axes.get_legend_handles_labels()
        rows = 0
        if handles:
            labels = [self._as_wide_as_korean(label) for label in labels]
            longest = max(map(len, labels)) + 5
            columns = max(1, min(len(labels), 64 // longest))
            rows = -(-len(labels) // columns)
            # by rows: the reader goes from left to right, and the legend fills columns
            order = [place for column in range(columns) for place in range(column, len(labels), columns)]
            self.figure.legend(
                *([handles[place] for place in order], [labels[place] for place in order]),
                loc="upper left",
                ncols=columns,
                borderpad=0.1,
                borderaxespad=0.1,
            )
        self.figure.subplots_adjust(
            left=(0.30 + LETTER * self.margin) / width,
            right=1 - 0.2 / width,
            bottom=(0.46 + LETTER * self.slope) / height,
            top=1 - (0.10 + 0.17 * rows) / height,
        )

    def _as_wide_as_korean(self, label: str) -> str:
        """Return ``label`` with spaces that make room for its Korean text, which the page may show in its place."""
        words = self.words[label]
        width = sum(HANGUL_WIDTH if letter >= HANGUL_FROM else 1 for letter in words.ko)
        padded = label + FIGURE_SPACE * max(0, round(width - len(label)))
        self.words[padded] = words
        return padded

    def _name_rows(self, names: Sequence[Words]) -> None:
        self.margin = max(4, *(len(name.en) for name in names)) - 2
        self.axes.set_yticks(range(len(names)), [self.text(name) for name in names])
        self.axes.set_ylim(len(names) - 0.4, -0.6)
        self.axes.grid(visible=False, axis="y")

    def svg(self) -> str:
        """Return the figure as an ``svg`` element."""
        with _matplotlib(self.name):
            self._arrange()
            text = io.StringIO()
            none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.figure.savefig(text, format="svg", metadata=none)
        return _inline(text.getvalue(), name=self.name, alt=self.alt, words=self.words)


@contextmanager
def plot(name: str, *, alt: Words, height: float = HEIGHT) -> Iterator[Plot]:
    """Give an empty figure to fill; ``height`` is in inches."""
    with _matplotlib(name):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, height))
        yield Plot(name=name, alt=alt, figure=figure, axes=figure.add_subplot())


@contextmanager
def _matplotlib(name: str) -> Iterator[None]:
    """Set the look of figures; nothing depends on the user's own settings or on a display."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = {**SETTINGS, "svg.hashsalt": name}
        matplotlib.rcParams.update(settings)
        yield


_TEXT = re.compile(r"<text ([^>]*)>([^<]*)</text>")
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_STYLE = re.compile(r'\s*<style type="text/css">.*?</style>', re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_ID = re.compile(r'(\bid="|href="#|url\(#)')
_SIZE = re.compile(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>')


def _inline(svg: str, *, name: str, alt: Words, words: Mapping[str, Words]) -> str:
    """Return matplotlib's file as an element of a page: IDs of its own, texts in both languages, no declarations."""

    def in_both_languages(match: re.Match[str]) -> str:
        attributes, text = match[1], unescape(match[2])
        translated = words.get(text)
        if translated is None or translated.ko == translated.en:
            return match[0]
        return "".join(
            f'<text lang="{language}" {attributes}>{escape(getattr(translated, language))}</text>'
            for language in ("en", "ko")
        )

    body = svg[svg.index("<svg ") :]
    for pattern in (_COMMENT, _STYLE, _METADATA):
        body = pattern.sub("", body)
    body = _ID.sub(rf"\g<1>{name}-", body)
    label = escape(f"{alt.en} / {alt.ko}" if alt.ko != alt.en else alt.en, quote=True)
    body = _SIZE.sub(rf'<svg class="plot" role="img" aria-label="{_literal(label)}" viewBox="\1">', body, count=1)
    return _TEXT.sub(in_both_languages, body).strip()


def _literal(text: str) -> str:
    """Return ``text`` for the replacement of a regular expression."""
    return text.replace("\\", r"\\")
