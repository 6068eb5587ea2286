"""
Plots as inline SVG: horizontal positions are percentages, so a plot fills its page and its text keeps its size.

Colours come from the page's style sheet through classes; `<title>` elements are the tooltips.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats import SAME_WITHIN
from reports.axes import AXIS_PX, LABEL_PX, Place, Scale, across, axis, frame, nice_ticks, row_name, spaced, whisker
from reports.load import Case, Search
from reports.markup import Markup, join, tag
from reports.wording import clock_title, counted, gflops, parameters, peer_names, percent, ratio

BAR_PX = 18
ROW_PX = 20
GAP_PX = 12
SEARCH_PX = 170
SPREAD = (10, 90)
"""Percentiles that a bar's whisker spans, of the throughput of single rounds."""
TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 5, 7, 10, 20, 50, 100)


def throughput_plot(cases: Sequence[Case]) -> Markup:
    """Return a bar for ours and each peer, case by case, with the peak as a line; cases share dtype and clock."""
    tops = [case.peak_gflops or 0 for case in cases] + [value for case in cases for _, _, value, _ in _bars(case)]
    top = max(tops) or 1.0
    body, y = [], 0.0
    for case in cases:
        part, height = _throughput_rows(case, top, y)
        body.append(part)
        y += height + GAP_PX
    ticks = [(value / top, f"{value:g}") for value in nice_ticks(top)]
    label = f"Throughput in GFLOP/s against peak, {counted(len(cases), 'case')}, {clock_title(cases[0].clock)}"
    return frame(y + AXIS_PX, label, [*axis(ticks, y), *body])


def _bars(case: Case) -> list[tuple[str, str, float, tuple[float, ...]]]:
    """Return name, class, GFLOP/s and samples of each bar."""
    bars = [("opwright", "ours", case.throughput_gflops if case.ok else None, case.samples_s)]
    bars += [
        (peer.name, f"peer-{index % 4}", peer.throughput_gflops if peer.ok else None, peer.samples_s)
        for index, peer in enumerate(case.peers)
    ]
    return [(name, kind, value, samples) for name, kind, value, samples in bars if value is not None]


def _throughput_rows(case: Case, top: float, y: float) -> tuple[Markup, float]:
    peak_text = (
        f"{percent(case.peak_fraction)}% of {gflops(case.peak_gflops)}" if case.peak_fraction is not None else ""
    )
    two_lines = len(case.id) > 30 and peak_text
    header = [row_name(case.id, y)]
    peak_y = y + (2 * LABEL_PX - 10 if two_lines else LABEL_PX - 8)
    header.append(tag("text", peak_text if case.ok else case.verdict, x="100%", y=peak_y, class_="value end"))
    start = y + (2 * LABEL_PX - 6 if two_lines else LABEL_PX)
    bars = _bars(case)
    drawn = [_bar(*bar, case.flops, top, start + index * BAR_PX) for index, bar in enumerate(bars)]
    end = start + max(len(bars), 1) * BAR_PX
    if case.peak_gflops:
        at = across(case.peak_gflops / top)
        tooltip = tag("title", f"{case.id}: peak {gflops(case.peak_gflops)} GFLOP/s")
        drawn.append(tag("line", tooltip, x1=at, x2=at, y1=start - 3, y2=end + 1, class_="peak"))
    return join([*header, *drawn]), end - y


def _bar(
    name: str, kind: str, value: float, samples_s: Sequence[float], flops: float | None, top: float, y: float
) -> Markup:
    low, high = value, value
    if flops and len(samples_s) > 1:
        low, high = np.percentile(flops / 1e9 / np.asarray(samples_s), SPREAD)
    tooltip = tag("title", f"{name}: {gflops(value)} GFLOP/s, rounds {gflops(low)} to {gflops(high)} (80% of them)")
    middle = y + BAR_PX / 2 - 1
    parts = [tag("rect", tooltip, x=0, y=y, width=across(value / top), height=BAR_PX - 2, rx=2, class_=f"bar {kind}")]
    if high > low:
        parts.append(whisker(min(low / top, 1), min(high / top, 1), middle))
    inside = value / top > 0.4
    parts.append(
        tag(
            "text",
            f"{name} {gflops(value)}",
            x="0" if inside else across(max(value, high) / top),
            dx=7,
            y=middle + 4,
            class_=f"bar-text {kind}" if inside else "value",
        )
    )
    return join(parts)


def ratio_plot(cases: Sequence[Case]) -> Markup:
    """Return a dot and its interval for each case and peer on a logarithmic axis, with the 3% band shaded."""
    shown = [(case.id, rows) for case in cases if (rows := _ratio_rows(case))]
    values = [value for _, rows in shown for row in rows for value in row.interval]
    low, high = math.log(min([0.9, *values]) * 0.97), math.log(max([1.1, *values]) * 1.03)

    def scale(value: float) -> float:
        return (math.log(value) - low) / (high - low)

    peers = peer_names(cases)
    body, texts, y = [], [], 0.0
    for case_id, rows in shown:
        texts.append(row_name(case_id, y))
        y += LABEL_PX
        for row in rows:
            text = row.text if len(peers) == 1 and row.kind != "control" else f"{row.name} {row.text}"
            body.append(_dot(f"{case_id}, {row.name}: {row.text}", row, scale, y + ROW_PX / 2))
            texts.append(tag("text", text, x="100%", y=y + ROW_PX / 2 + 4, class_=f"value end {row.kind}"))
            y += ROW_PX
        y += GAP_PX
    start, end, middle = scale(1 / (1 + SAME_WITHIN)), scale(1 + SAME_WITHIN), across(scale(1))
    shade = tag("rect", x=across(start), y=0, width=across(end - start), height=y, class_="band")
    one = tag("line", x1=middle, x2=middle, y1=0, y2=y, class_="one")
    ticks = axis([(scale(value), f"{value:g}") for value in spaced(TICKS, scale)], y)
    width = "66%" if len(peers) == 1 else "58%"
    inner = tag("svg", shade, *ticks, one, *body, width=width, height=y + AXIS_PX, overflow="visible")
    label = f"Ratio to {', '.join(peers)} with 95% intervals, {counted(len(shown), 'case')}; above 1 ours is faster"
    return frame(y + AXIS_PX, label, [inner, *texts])


@dataclass(frozen=True, slots=True, kw_only=True)
class _RatioRow:
    """One dot with its interval."""

    name: str
    interval: tuple[float, float, float]
    """Ratio, low, high."""
    text: str
    kind: str
    """``faster``, ``slower``, ``same`` or ``control``."""


def _ratio_rows(case: Case) -> list[_RatioRow]:
    """Return the peers that have figures to show, then the A/A control; nothing for a wrong result."""
    peers = [peer for peer in case.peers if case.ok and peer.ok and peer.ratio and peer.ratio > 0]
    rows = [
        _RatioRow(name=peer.name, interval=interval, text=ratio(peer), kind=_kind(*interval))
        for peer in peers
        for interval in [_interval(peer.ratio, peer.ratio_low, peer.ratio_high)]
    ]
    if rows and case.a_a and case.a_a.ratio > 0:
        control = _interval(case.a_a.ratio, case.a_a.low, case.a_a.high)
        text = f"{control[0]:.2f} [{control[1]:.2f}, {control[2]:.2f}]"
        rows.append(_RatioRow(name="A/A", interval=control, text=text, kind="control"))
    return rows


def _interval(middle: float, low: float | None, high: float | None) -> tuple[float, float, float]:
    """Return an interval that a logarithmic axis can show."""
    return (middle, low if low and low > 0 else middle, high if high and high > 0 else middle)


def _kind(middle: float, low: float, high: float) -> str:
    """Return the class of a dot: faster and slower need 3% and an interval that leaves 1 out."""
    if middle >= 1 + SAME_WITHIN and low > 1:
        return "faster"
    if middle <= 1 / (1 + SAME_WITHIN) and high < 1:
        return "slower"
    return "same"


def _dot(tooltip: str, row: _RatioRow, scale: Scale, y: float) -> Markup:
    middle, low, high = (scale(part) for part in row.interval)
    word = "" if row.kind == "control" else f" ({row.kind})"
    radius = 3 if row.kind == "control" else 5.5
    dot = tag("circle", tag("title", tooltip + word), cx=across(middle), cy=y, r=radius, class_=row.kind)
    return tag("g", whisker(low, high, y), dot, class_=f"dot {row.kind}")


def search_plot(search: Search) -> Markup:
    """Return the evaluations of a tuning in order: a dot each, the best so far as a line, failures on the axis."""
    first, last = search.evaluations[0].sequence, search.evaluations[-1].sequence
    top = 1.08 * max((e.speed for e in search.evaluations if e.speed), default=1.0)
    span = max(last - first, 1)

    def at(sequence: float) -> str:
        return across(0.01 + 0.98 * (sequence - first) / span)

    def height(speed: float) -> float:
        return SEARCH_PX * (1 - speed / top)

    grid = [
        join(
            [
                tag("line", x1=0, x2="100%", y1=height(value), y2=height(value), class_="grid"),
                tag("text", f"{value:g}", x=0, y=height(value) - 3, class_="tick"),
            ]
        )
        for value in nice_ticks(top, 3)[1:]
    ]
    axis = tag("line", x1=0, x2="100%", y1=SEARCH_PX, y2=SEARCH_PX, class_="base")
    ends = [
        tag("text", f"{first}", x=0, y=SEARCH_PX + 20, class_="tick"),
        tag("text", f"{last}", x="100%", y=SEARCH_PX + 20, class_="tick end"),
    ]
    label = (
        f"Search progress of {search.case}: {counted(len(search.evaluations), 'evaluation')}, speed in {search.unit}"
    )
    return frame(
        SEARCH_PX + AXIS_PX, label, [*grid, axis, *_best_line(search, at, height), *_marks(search, at, height), *ends]
    )


def _best_line(search: Search, at: Place, height: Scale) -> list[Markup]:
    """Return the best so far as steps; percentages cannot be points of a polyline, so each step is a line."""
    lines, best, since = [], None, None
    for e in search.evaluations:
        if e.speed is None or (best is not None and e.speed <= best):
            continue
        if best is not None:
            lines.append(tag("line", x1=at(since), x2=at(e.sequence), y1=height(best), y2=height(best), class_="best"))
            lines.append(
                tag("line", x1=at(e.sequence), x2=at(e.sequence), y1=height(best), y2=height(e.speed), class_="best")
            )
        best, since = e.speed, e.sequence
    if best is not None:
        last = search.evaluations[-1].sequence
        lines.append(tag("line", x1=at(since), x2=at(last), y1=height(best), y2=height(best), class_="best"))
    return lines


def _marks(search: Search, at: Place, height: Scale) -> list[Markup]:
    marks = []
    for e in search.evaluations:
        head = f"evaluation {e.sequence}: "
        if e.speed is None:
            tooltip = tag("title", f"{head}{e.verdict} {e.reason} ({parameters(e.candidate)})")
            marks.append(tag("text", "×", tooltip, x=at(e.sequence), y=SEARCH_PX + 5, class_="failure"))
        else:
            won = bool(search.winner) and e.candidate == search.winner
            tooltip = tag("title", f"{head}{gflops(e.speed)} {search.unit} ({parameters(e.candidate)})")
            kind = "evaluation winner" if won else "evaluation"
            marks.append(
                tag("circle", tooltip, cx=at(e.sequence), cy=height(e.speed), r=5 if won else 2.6, class_=kind)
            )
    return marks
