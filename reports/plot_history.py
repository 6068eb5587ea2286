"""A case across runs: a dot a run, a line a level, a mark where the level changed."""

from itertools import pairwise

from reports.board import CARD_PX, Board
from reports.history import History, levels
from reports.markup import Markup
from reports.wording import counted, gflops, moment

HEIGHT_PX = 170
AXIS_LEFT_PX = 40


def history_plot(one: History) -> Markup:
    """Return the history of a case that has more than one run."""
    last = len(one.points) - 1
    top = 1.08 * max((point.value for point in one.points if point.value is not None), default=1.0)
    label = f"History of {one.case}: {one.what} over {counted(len(one.points), 'run')}"
    board = Board(label, (CARD_PX, HEIGHT_PX), left_px=AXIS_LEFT_PX, top_px=6)
    board.span((-0.5, last + 0.5), (0, top))
    board.columns([0, last], [one.points[place].created[:10] for place in (0, last)], grid=False)
    board.heights()
    changed = [f"changed with run {one.points[place].run}" for place in one.changes]
    board.lines([[(place - 0.5, 0), (place - 0.5, top)] for place in one.changes], changed, stroke="bad", dashed=True)
    steps = [[(start - 0.4, level), (end + 0.4, level)] for start, end, level in levels(one)]
    board.lines(steps, stroke="ours", width_px=2)
    right = [(place, point) for place, point in enumerate(one.points) if point.value is not None]
    wrong = [(place, point) for place, point in enumerate(one.points) if point.value is None]
    told = [f"{p.run}, {moment(p.created)}: {p.value:.3f}, {gflops(p.case.throughput_gflops)} GFLOP/s" for _, p in right]
    board.dots([place for place, _ in right], [p.value for _, p in right], told, fill="soft", opacity=0.55)
    told = [f"{p.run}: {p.case.verdict} {p.case.reason}" for _, p in wrong]
    board.crosses([place for place, _ in wrong], [0] * len(wrong), told)
    return board.markup()


def history_caption(one: History) -> str:
    """Say what the values are and where they changed."""
    heights = [level for _, _, level in levels(one)]
    steps = [f"{100 * (new / old - 1):+.1f}%" for old, new in pairwise(heights)]
    runs = [one.points[place].run for place in one.changes]
    changed = "; ".join(f"{step} with {run}" for step, run in zip(steps, runs, strict=False))
    return f"{one.what}, {counted(len(one.points), 'run')}; {changed or 'no change point'}"
