"""
Where a plot is drawn: a Matplotlib figure that becomes inline SVG and belongs to its page.

Lines and marks take their colours from the style sheet, so that a plot is light or dark as its page is; text takes the
page's font, so none is embedded; each mark carries its sentence as a tooltip, which a keyboard reaches through the
page's script. Importing this module imports Matplotlib, which takes half a second: only what draws does so.
"""

import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from harness.errors import HarnessError
from harness.store import default_store
from reports.markup import Markup, join, tag


@contextmanager
def _home() -> Iterator[None]:
    """Let Matplotlib, which looks where to write when it is imported, keep its list of fonts in the store."""
    given = os.environ.get("MPLCONFIGDIR")
    if given is None:
        os.environ["MPLCONFIGDIR"] = str(default_store() / "matplotlib")
    try:
        yield
    finally:
        if given is None:
            del os.environ["MPLCONFIGDIR"]


with _home():
    try:
        from matplotlib import rc_context
        from matplotlib.artist import Artist
        from matplotlib.axes import Axes
        from matplotlib.backend_bases import RendererBase
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.collections import (
            AsteriskPolygonCollection,
            CircleCollection,
            Collection,
            LineCollection,
            PolyCollection,
        )
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties
        from matplotlib.ticker import MaxNLocator
    except ImportError as missing:
        remedy = "pip install -r requirements.lock"
        raise HarnessError(f"the page's plots are drawn by Matplotlib, which cannot be imported ({missing}): {remedy}") from None

WIDE_PX, CARD_PX = 900, 400
"""Widths of a plot across the page and of one among others; a page shows them larger or smaller."""
AXIS_PX = 30
"""Below a plot, for the values of its horizontal axis."""
SVG_DPI = 72
"""Of Matplotlib's SVG, whose points are pixels here."""
COLOURS = (
    *("ink", "soft", "card", "grid", "band", "whisker"),
    *("ours", "peer-0", "peer-1", "peer-2", "peer-3", "peak", "good", "bad"),
)
"""Of the page's style sheet; a figure is drawn in colours that stand for them."""
SHORT = "{:g}".format
STAND_IN = re.compile(r"#c0ffe([0-9a-f])")
TAG = re.compile(r"<[^<>]*>")
"""Text between tags is escaped: whatever a record brought along cannot look like one."""
BETWEEN = re.compile(r">\s+<")
MARK = re.compile(r"(<defs>.*?</defs>)|<(use|path)\b([^<>]*)/>", re.DOTALL)
STYLE = re.compile(r' style="[^"]*"')
LOST = re.compile(r' (id="(?!m|C)[^"]*"|clip-path="[^"]*")')
"""Attributes that a page has no use for; marks that are drawn more than once are referred to by their id."""
UNUSED = re.compile(r"<defs>\s*(<style.*?</style>|<clipPath.*?</clipPath>\s*)+\s*</defs>", re.DOTALL)


def colour(name: str) -> str:
    """Return what stands for a colour of the style sheet."""
    return f"#c0ffe{COLOURS.index(name):x}"


@cache
def _blank() -> Axes:
    """
    Return axes without ticks, to be drawn on again and again.

    Making axes and laying out Matplotlib's own ticks takes ten times as long as drawing what a plot here has.
    """
    axes = Figure(dpi=SVG_DPI).add_axes((0, 0, 1, 1))
    axes.figure.patch.set_visible(False)
    axes.set_axis_off()
    return axes


class Board:
    """One plot: axes to draw on, a description, and what its marks say; one after another, never two at once."""

    def __init__(self, label: str, size_px: tuple[float, float], *, left_px: float = 0, right_px: float = 0, top_px: float = 0) -> None:
        self.label = label
        self.width_px, self.height_px = size_px
        self._left_px = left_px
        self._drawn: list[tuple[Artist, str, Sequence[str]]] = []
        self._axes = axes = _blank()
        for left_over in (*axes.collections, *axes.artists):  # of a plot that ended in an exception
            left_over.remove()
        axes.figure.set_size_inches(self.width_px / SVG_DPI, self.height_px / SVG_DPI)
        inside = (self.width_px - left_px - right_px) / self.width_px, (self.height_px - AXIS_PX - top_px) / self.height_px
        axes.set_position((left_px / self.width_px, AXIS_PX / self.height_px, *inside))

    def span(self, x: tuple[float, float], y: tuple[float, float], *, logarithmic: str = "") -> None:
        """Say what the axes reach from and to, and which of them, of ``xy``, are logarithmic."""
        self._axes.set(**{f"{axis}scale": "log" if axis in logarithmic else "linear" for axis in "xy"}, xlim=x, ylim=y)

    def columns(self, values: Sequence[float] = (), names: Sequence[str] = (), *, grid: bool = True) -> None:
        """Mark values of the horizontal axis, round ones unless told."""
        low, high = self._axes.get_xlim()
        values = values or [value for value in MaxNLocator(6).tick_values(low, high) if low <= value <= high]
        places = [(self._at_px(value, 0)[0], self.height_px - AXIS_PX / 2, name) for value, name in zip(values, names or map(SHORT, values), strict=True)]
        if grid:
            self.lines([[(value, end) for end in self._axes.get_ylim()] for value in values], stroke="grid", width_px=1)
        self.words(places, "middle")

    def heights(self, values: Sequence[float] = ()) -> None:
        """Mark values of the vertical axis, a few round ones unless told."""
        low, high = self._axes.get_ylim()
        values = values or [value for value in MaxNLocator(4).tick_values(low, high) if low <= value <= high]
        self.lines([[(end, value) for end in self._axes.get_xlim()] for value in values], stroke="grid", width_px=1)
        self.words([(self._left_px - 6, self._at_px(0, value)[1] + 4, SHORT(value)) for value in values], "end")

    def dots(
        self,
        x: Sequence[float],
        y: Sequence[float],
        told: Sequence[str] = (),
        *,
        fill: str,
        edge: str | None = None,
        radius_px: float = 3,
        opacity: float = 1,
    ) -> None:
        """Draw discs, or rings with an ``edge``; ``told`` are their sentences, in the same order."""
        style = {"edgecolors": colour(edge or fill), "linewidths": 2 if edge else 0}
        self._marks(CircleCollection([math.pi * radius_px**2], facecolors=colour(fill), alpha=opacity, **self._offsets(x, y), **style), told)

    def crosses(self, x: Sequence[float], y: Sequence[float], told: Sequence[str]) -> None:
        """Draw what failed."""
        style = {"edgecolors": colour("bad"), "linewidths": 2}
        self._marks(AsteriskPolygonCollection(4, rotation=math.pi / 4, sizes=[40], **self._offsets(x, y), **style), told)

    def _offsets(self, x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
        return {"offsets": np.column_stack((x, y)), "offset_transform": self._axes.transData}

    def lines(
        self,
        paths: Sequence[Sequence[tuple[float, float]]],
        told: Sequence[str] = (),
        *,
        stroke: str,
        width_px: float = 1.5,
        dashed: bool = False,
    ) -> None:
        """Draw open paths, each with its sentence."""
        dashes = (0, (3, 2)) if dashed else "solid"
        self._marks(LineCollection(paths, colors=colour(stroke), linewidths=width_px, linestyles=dashes, capstyle="butt"), told)

    def shade(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], *, fill: str, opacity: float = 1) -> None:
        """Fill what lies between two lines."""
        around = [*zip(x, low, strict=True), *reversed([*zip(x, high, strict=True)])]
        self._marks(PolyCollection([around], facecolors=colour(fill), alpha=opacity, linewidths=0), ())

    def words(self, places: Sequence[tuple[float, float, str]], kind: str) -> None:
        """Write at pixels from the top left; ``kind`` is a class of the style sheet."""
        self._keep(self._axes.add_artist(_Words(places)), kind, ())

    def across_px(self, value: float) -> float:
        """Return how far from the left a value lies, in pixels."""
        return self._at_px(value, 0)[0]

    def _at_px(self, x: float, y: float) -> tuple[float, float]:
        """Return a place in pixels from the top left."""
        across, up = self._axes.transData.transform((x, y))
        return float(across), self.height_px - float(up)

    def _marks(self, drawn: Collection, told: Sequence[str]) -> None:
        self._keep(self._axes.add_collection(drawn, autolim=False), "", told)

    def _keep(self, drawn: Artist, kind: str, told: Sequence[str]) -> None:
        """Put an artist before all earlier ones and remember what its marks say."""
        drawn.set(gid=f"group-{len(self._drawn)}", zorder=len(self._drawn), clip_on=False)
        self._drawn.append((drawn, kind, told))

    def markup(self) -> Markup:
        """Return the plot; the board is used up."""
        written = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": self.label}):
            FigureCanvasSVG(self._axes.figure).print_svg(written, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        drawing = written.getvalue()
        inner = UNUSED.sub("", drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")])
        for number, (drawn, kind, told) in enumerate(self._drawn):
            before, begin, after = inner.partition(f'<g id="group-{number}">')
            inner = f'{before}<g class="{kind}">{_telling(after, told)}' if begin else inner
            drawn.remove()
        inner = BETWEEN.sub("><", TAG.sub(_of_the_page, inner)).strip()
        shape = {"viewBox": f"0 0 {self.width_px:g} {self.height_px:g}", "class_": "wide" if self.width_px == WIDE_PX else "card"}
        return tag("svg", Markup(inner), role="img", aria_label=self.label, tabindex=0, **shape)


class _Words(Artist):
    """Words at their pixels: as many texts of Matplotlib's own would be laid out one by one, in a font that is not the page's."""

    def __init__(self, places: Sequence[tuple[float, float, str]]) -> None:
        super().__init__()
        self._places = places

    def draw(self, renderer: RendererBase) -> None:
        """Write all of them."""
        renderer.open_group("words", self.get_gid())
        context, font = renderer.new_gc(), FontProperties()
        for x, y, text in self._places:
            renderer.draw_text(context, x, y, text, font, 0)
        context.restore()
        renderer.close_group("words")


def _telling(drawing: str, told: Sequence[str]) -> str:
    """Give the first marks of a drawing their sentences."""
    if not told:
        return drawing
    sentences = iter(told)

    def told_of(found: re.Match[str]) -> str:
        if found[1] or (sentence := next(sentences, None)) is None:
            return found[0]
        return join([Markup(f"<{found[2]}{found[3]}>"), tag("title", sentence), Markup(f"</{found[2]}>")])

    return MARK.sub(told_of, drawing)


def _of_the_page(found: re.Match[str]) -> str:
    """Return a tag in the page's colours and without what only a file of its own needs."""
    text = LOST.sub("", found[0].replace("xlink:href", "href").replace("\n", " "))
    if text.startswith("<text"):
        return STYLE.sub("", text)
    return STAND_IN.sub(lambda name: f"var(--{COLOURS[int(name[1], 16)]})", text)
