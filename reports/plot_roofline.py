"""The roofline: throughput over operations a byte, both logarithmic, under the measured or modelled peak."""

import math
from collections.abc import Sequence
from statistics import median

from reports.board import WIDE_PX, Board
from reports.load import Case
from reports.markup import Markup
from reports.wording import clock_title, counted, gflops, percent

HEIGHT_PX = 290
AXIS_LEFT_PX = 44
DOTS = 1000
"""Of more cases every second, third ... is drawn."""
MARGIN = 1.3
"""Room around the outermost points, as a factor."""


def roofline_plot(cases: Sequence[Case]) -> Markup:
    """Return a dot a case; cases share dtype, threads and clock and have flops, bytes, throughput and peak."""
    drawn = cases[:: 1 + len(cases) // DOTS]
    intensities = [case.flops / case.least_bytes for case in drawn]
    speeds = [case.throughput_gflops for case in drawn]
    peak = median(case.peak_gflops for case in cases)
    left, right = _ends(intensities)
    low, high = _ends([*speeds, peak])
    label = f"Roofline of {counted(len(drawn), 'case')}, GFLOP/s over operations a byte, {clock_title(cases[0].clock)}"
    board = Board(label, (WIDE_PX, HEIGHT_PX), left_px=AXIS_LEFT_PX, top_px=6)
    board.span((left, right), (low, high), logarithmic="xy")
    board.columns(_decades(left, right))
    board.heights(_decades(low, high))
    board.lines([[(left, peak), (right, peak)]], [f"peak {gflops(peak)} GFLOP/s"], stroke="peak", width_px=2.5)
    told = [_told(case, intensity) for case, intensity in zip(drawn, intensities, strict=True)]
    board.dots(intensities, speeds, told, fill="ours", radius_px=4, opacity=0.75)
    return board.markup()


def _told(case: Case, intensity: float) -> str:
    return f"{case.id}: {gflops(case.throughput_gflops)} GFLOP/s at {intensity:.3g} operations a byte, {percent(case.peak_fraction)}% of peak"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values) / MARGIN, max(values) * MARGIN


def _decades(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two values, fewer where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
