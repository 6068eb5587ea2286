"""Frames, axes and marks that every plot of a page shares; see `reports.plots`."""

import math
from collections.abc import Callable, Sequence

from reports.markup import Markup, join, tag

Scale = Callable[[float], float]
Place = Callable[[float], str]

LABEL_PX = 22
AXIS_PX = 30
LONGEST_NAME = 46


def frame(height: float, label: str, body: Sequence[Markup]) -> Markup:
    """Return a plot of the whole width with its description."""
    return tag("svg", *body, role="img", aria_label=label, width="100%", height=height, overflow="visible")


def row_name(text: str, y: float) -> Markup:
    """Return a row's name, shortened in the middle; the whole of it is the tooltip."""
    shown = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME // 2]}…{text[-LONGEST_NAME // 2 + 1 :]}"
    return tag("text", shown, tag("title", text), x=0, y=y + LABEL_PX - 8, class_="name")


def whisker(low: float, high: float, y: float) -> Markup:
    """Return an interval as a line with ends."""
    ends = [tag("line", x1=across(x), x2=across(x), y1=y - 3, y2=y + 3, class_="whisker") for x in (low, high)]
    return join([tag("line", x1=across(low), x2=across(high), y1=y, y2=y, class_="whisker"), *ends])


def axis(ticks: Sequence[tuple[float, str]], height: float) -> list[Markup]:
    """Return grid lines over the whole height, and their values below it."""
    parts = []
    for position, text in ticks:
        anchor = "" if position < 0.03 else " end" if position > 0.97 else " middle"
        parts.append(tag("line", x1=across(position), x2=across(position), y1=0, y2=height, class_="grid"))
        parts.append(tag("text", text, x=across(position), y=height + 16, class_=f"tick{anchor}"))
    return parts


def across(fraction: float) -> str:
    """Return a fraction of the width as a position."""
    return f"{100 * fraction:.2f}%"


def nice_ticks(top: float, about: int = 5) -> list[float]:
    """Return round values from 0 to ``top``."""
    step = 10 ** math.floor(math.log10(top / about))
    step *= next(factor for factor in (1, 2, 5, 10) if top / (step * factor) <= about)
    return [index * step for index in range(int(top / step + 1e-9) + 1)]


def spaced(values: Sequence[float], scale: Scale) -> list[float]:
    """Return those of ``values`` that lie on the axis and far enough apart to be read on a phone; 1 always."""
    kept = [1.0]
    for value in sorted(values, key=lambda v: abs(math.log(v))):
        if 0 <= scale(value) <= 1 and all(abs(scale(value) - scale(other)) > 0.14 for other in kept):
            kept.append(value)
    return sorted(kept)
