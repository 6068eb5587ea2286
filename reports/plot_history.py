"""A case across runs: a dot a run, a line a level, a mark where the level changed."""

from itertools import pairwise

from reports.axes import AXIS_PX, across, frame, nice_ticks
from reports.history import History, levels
from reports.markup import Markup, tag
from reports.wording import counted, gflops, moment

HEIGHT_PX = 140


def history_plot(one: History) -> Markup:
    """Return the history of a case that has more than one run."""
    values = [point.value for point in one.points if point.value is not None]
    top = 1.08 * max(values, default=1.0)
    last = max(len(one.points) - 1, 1)

    def x(position: float) -> str:
        return across(0.01 + 0.98 * position / last)

    def y(value: float) -> float:
        return HEIGHT_PX * (1 - value / top)

    parts = []
    for value in nice_ticks(top, 3):
        parts.append(tag("line", x1=0, x2="100%", y1=y(value), y2=y(value), class_="grid"))
        parts.append(tag("text", f"{value:g}", x=0, y=y(value) - 3, class_="tick"))
    for place in one.changes:
        title = tag("title", f"changed with run {one.points[place].run}")
        parts.append(tag("line", title, x1=x(place - 0.5), x2=x(place - 0.5), y1=0, y2=HEIGHT_PX, class_="change"))
    for start, end, level in levels(one):
        parts.append(tag("line", x1=x(max(start - 0.4, 0)), x2=x(min(end + 0.4, last)), y1=y(level), y2=y(level), class_="best"))
    for position, point in enumerate(one.points):
        if point.value is None:
            title = tag("title", f"{point.run}: {point.case.verdict} {point.case.reason}")
            parts.append(tag("text", "×", title, x=x(position), y=HEIGHT_PX + 5, class_="failure"))
        else:
            title = f"{point.run}, {moment(point.created)}: {point.value:.3f}, {gflops(point.case.throughput_gflops)} GFLOP/s"
            parts.append(tag("circle", tag("title", title), cx=x(position), cy=y(point.value), r=3, class_="evaluation"))
    ends = [(0, "tick"), (len(one.points) - 1, "tick end")]
    parts += [
        tag("text", one.points[place].created[:10], x="100%" if place else 0, y=HEIGHT_PX + 20, class_=kind)
        for place, kind in ends
    ]
    label = f"History of {one.case}: {one.what} over {counted(len(one.points), 'run')}"
    return frame(HEIGHT_PX + AXIS_PX, label, parts)


def history_caption(one: History) -> str:
    """Say what the values are and where they changed."""
    heights = [level for _, _, level in levels(one)]
    steps = [f"{100 * (new / old - 1):+.1f}%" for old, new in pairwise(heights)]
    runs = [one.points[place].run for place in one.changes]
    changed = "; ".join(f"{step} with {run}" for step, run in zip(steps, runs, strict=False))
    return f"{one.what}, {counted(len(one.points), 'run')}; {changed or 'no change point'}"
