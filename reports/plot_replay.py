"""A replayed search: the median over the seeds as a line, least to most as a band, under the table's best."""

from reports.axes import AXIS_PX, across, frame, nice_ticks
from reports.markup import Markup, tag
from reports.replays import Replay
from reports.wording import counted, gflops

HEIGHT_PX = 130
ROOM = 1.04
"""Height of the axis over the table's best."""


def replay_plot(replay: Replay, search: str) -> Markup:
    """Return one search of a table; all searches of a table share their axes."""
    best = replay.best_gflops or 100.0
    unit = "GFLOP/s" if replay.best_gflops else "% of the table's best"
    spreads = [[share * best for share in replay.spread(search, place)] for place in range(len(replay.budgets))]
    floor = 0.9 * best * min(curve[0] for seeds in replay.curves.values() for curve in seeds)
    last = replay.budgets[-1]

    def x(budget: int) -> float:
        return (budget - replay.budgets[0]) / (last - replay.budgets[0])

    def y(value: float) -> float:
        return HEIGHT_PX * (1 - (value - floor) / (ROOM * best - floor))

    parts = []
    for value in (one for one in nice_ticks(ROOM * best, 8) if one > floor):
        parts.append(tag("line", x1=0, x2="100%", y1=y(value), y2=y(value), class_="grid"))
        parts.append(tag("text", f"{value:g}", x=0, y=y(value) - 3, class_="tick"))
    top = tag("title", f"the table's best, {gflops(best)} {unit}")
    parts.append(tag("line", top, x1=0, x2="100%", y1=y(best), y2=y(best), class_="peak"))
    # Points of a polygon cannot be percentages: a picture of its own, stretched over the width, holds the band.
    ends = [(budget, spread[2]) for budget, spread in zip(replay.budgets, spreads, strict=True)]
    ends += [(budget, spread[0]) for budget, spread in zip(replay.budgets, spreads, strict=True)][::-1]
    band = tag("polygon", points=_points([(100 * x(budget), y(value)) for budget, value in ends]), class_="spread")
    middle = [(100 * x(budget), y(spread[1])) for budget, spread in zip(replay.budgets, spreads, strict=True)]
    line = tag("polyline", points=_points(middle), class_="best", fill="none", vector_effect="non-scaling-stroke")
    parts.append(tag("svg", band, line, viewBox=f"0 0 100 {HEIGHT_PX}", preserveAspectRatio="none", width="100%", height=HEIGHT_PX))
    for budget, (least, median, most) in zip(replay.budgets, spreads, strict=True):
        told = tag("title", f"{counted(budget, 'evaluation')}: {gflops(median)} [{gflops(least)}, {gflops(most)}] {unit}")
        parts.append(tag("circle", told, cx=across(x(budget)), cy=y(median), r=3, class_="roof"))
    parts.append(tag("text", f"{replay.budgets[0]}", x=0, y=HEIGHT_PX + 20, class_="tick"))
    parts.append(tag("text", f"{counted(last, 'evaluation')}", x="100%", y=HEIGHT_PX + 20, class_="tick end"))
    label = f"Replay of {search} on {replay.case}: {unit} over evaluations, median and spread of {counted(replay.seeds, 'seed')}"
    return frame(HEIGHT_PX + AXIS_PX, label, parts)


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{left:.2f},{top:.2f}" for left, top in places)
