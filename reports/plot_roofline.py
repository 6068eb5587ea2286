"""The roofline: throughput over operations a byte, both logarithmic, under the measured or modelled peak."""

import math
from collections.abc import Sequence
from statistics import median

from reports.axes import AXIS_PX, across, axis, frame
from reports.load import Case
from reports.markup import Markup, tag
from reports.wording import clock_title, counted, gflops, percent

HEIGHT_PX = 260
DOTS = 1000
"""Of more cases every second, third ... is drawn."""
MARGIN = 1.3
"""Room around the outermost points, as a factor."""


def roofline_plot(cases: Sequence[Case]) -> Markup:
    """Return a dot a case; cases share dtype, threads and clock and have flops, bytes, throughput and peak."""
    points = [(case, case.flops / case.least_bytes) for case in cases[:: 1 + len(cases) // DOTS]]
    peak = median(case.peak_gflops for case in cases)
    left, right = _ends([intensity for _, intensity in points])
    low, high = _ends([*(case.throughput_gflops for case in cases), peak])

    def x(value: float) -> float:
        return math.log(value / left) / math.log(right / left)

    def y(value: float) -> float:
        return HEIGHT_PX * (1 - math.log(value / low) / math.log(high / low))

    columns = axis([(x(value), f"{value:g}") for value in _decades(left, right)], HEIGHT_PX)
    rows = []
    for value in _decades(low, high):
        rows.append(tag("line", x1=0, x2="100%", y1=y(value), y2=y(value), class_="grid"))
        rows.append(tag("text", f"{value:g}", x=0, y=y(value) - 3, class_="tick"))
    roof = tag("line", tag("title", f"peak {gflops(peak)} GFLOP/s"), x1=0, x2="100%", y1=y(peak), y2=y(peak), class_="peak")
    dots = [
        tag("circle", tag("title", _tooltip(case, intensity)), cx=across(x(intensity)), cy=y(case.throughput_gflops), r=4, class_="roof")
        for case, intensity in points
    ]
    label = f"Roofline of {counted(len(points), 'case')}, GFLOP/s over operations a byte, {clock_title(cases[0].clock)}"
    return frame(HEIGHT_PX + AXIS_PX, label, [*columns, *rows, roof, *dots])


def _tooltip(case: Case, intensity: float) -> str:
    return f"{case.id}: {gflops(case.throughput_gflops)} GFLOP/s at {intensity:.3g} operations a byte, {percent(case.peak_fraction)}% of peak"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values) / MARGIN, max(values) * MARGIN


def _decades(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two values, fewer where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
