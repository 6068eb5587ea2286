"""GFLOP/s by shape: a bar for ours and each peer, the spread of single rounds on it, and the peak beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.board import AXIS_PX, WIDE_PX, Board
from reports.load import Case
from reports.markup import Markup
from reports.plot_rows import BAR_PX, GAP_PX, LABEL_PX, name_place, whisker
from reports.wording import clock_title, counted, gflops, percent

SPREAD = (10, 90)
"""Percentiles that a bar's whisker spans, of the throughput of single rounds."""
ROOM_FOR_TEXT = 0.4
"""Share of the width from which a bar has its text inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    name: str
    kind: str
    """``ours`` or ``peer-0`` ..., as the style sheet calls its colour."""
    value: float
    low: float
    high: float

    @property
    def told(self) -> str:
        return f"{self.name}: {gflops(self.value)} GFLOP/s, rounds {gflops(self.low)} to {gflops(self.high)} (80% of them)"


def throughput_plot(cases: Sequence[Case]) -> Markup:
    """Return the plot of cases that share dtype and clock."""
    rows = [(case, _bars(case)) for case in cases]
    top = max([case.peak_gflops or 0 for case in cases] + [bar.value for _, bars in rows for bar in bars]) or 1.0
    tall = sum(LABEL_PX + max(len(bars), 1) * BAR_PX + GAP_PX for _, bars in rows)
    label = f"Throughput in GFLOP/s against peak, {counted(len(cases), 'case')}, {clock_title(cases[0].clock)}"
    board = Board(label, (WIDE_PX, tall + AXIS_PX))
    board.span((0, top), (tall, 0))
    board.columns()
    names, notes, peaks = [], [], []
    placed: list[tuple[_Bar, float]] = []
    y = 0.0
    for case, bars in rows:
        names.append(name_place(case.id, y))
        notes.append((WIDE_PX, y + LABEL_PX - 8, _note(case)))
        begin, y = y + LABEL_PX, y + LABEL_PX + max(len(bars), 1) * BAR_PX
        placed += [(bar, begin + (index + 0.5) * BAR_PX - 1) for index, bar in enumerate(bars)]
        if case.peak_gflops:
            peaks.append((case, [(case.peak_gflops, begin - 3), (case.peak_gflops, y + 1)]))
        y += GAP_PX
    _draw_bars(board, placed, top)
    board.lines([path for _, path in peaks], [f"{case.id}: peak {gflops(case.peak_gflops)} GFLOP/s" for case, _ in peaks], stroke="peak", width_px=2.5)
    board.words(names, "name")
    board.words(notes, "value end")
    return board.markup()


def _bars(case: Case) -> list[_Bar]:
    """Return the bars of what was right."""
    found = [("opwright", "ours", case.throughput_gflops if case.ok else None, case.samples_s)]
    found += [
        (peer.name, f"peer-{index % 4}", peer.throughput_gflops if peer.ok else None, peer.samples_s)
        for index, peer in enumerate(case.peers)
    ]
    bars = []
    for name, kind, value, samples_s in found:
        if value is not None:
            low, high = value, value
            if case.flops and len(samples_s) > 1:
                low, high = map(float, np.percentile(case.flops / 1e9 / np.asarray(samples_s), SPREAD))
            bars.append(_Bar(name=name, kind=kind, value=value, low=low, high=high))
    return bars


def _note(case: Case) -> str:
    if not case.ok:
        return case.verdict
    return f"{percent(case.peak_fraction)}% of {gflops(case.peak_gflops)}" if case.peak_fraction is not None else ""


def _draw_bars(board: Board, placed: Sequence[tuple[_Bar, float]], top: float) -> None:
    """Draw all bars of a colour at once, then their spread and their words."""
    for kind in dict.fromkeys(bar.kind for bar, _ in placed):
        alike = [(bar, y) for bar, y in placed if bar.kind == kind]
        board.lines([[(0, y), (bar.value, y)] for bar, y in alike], [bar.told for bar, _ in alike], stroke=kind, width_px=BAR_PX - 2)
    board.lines([whisker(bar.low, min(bar.high, top), y) for bar, y in placed if top > bar.low < bar.high], stroke="whisker")
    inside = {True: [], False: []}
    ours = []
    for bar, y in placed:
        fits = bar.value / top > ROOM_FOR_TEXT
        x = board.across_px(0 if fits else min(max(bar.value, bar.high), top)) + 7
        (ours if fits and bar.kind == "ours" else inside[fits]).append((x, y + 4, f"{bar.name} {gflops(bar.value)}"))
    board.words(inside[True], "bar-text")
    board.words(inside[False], "value")
    board.words(ours, "bar-text on-ours")
