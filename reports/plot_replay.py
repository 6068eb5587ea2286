"""A replayed search: the median over the seeds as a line, least to most as a band, under the table's best."""

from reports.board import CARD_PX, Board
from reports.markup import Markup
from reports.replays import Replay
from reports.wording import counted, gflops

HEIGHT_PX = 160
AXIS_LEFT_PX = 40
ROOM = 1.04
"""Height of the axis over the table's best."""


def replay_plot(replay: Replay, search: str) -> Markup:
    """Return one search of a table; all searches of a table share their axes."""
    best = replay.best_gflops or 100.0
    unit = "GFLOP/s" if replay.best_gflops else "% of the table's best"
    spreads = [[share * best for share in replay.spread(search, place)] for place in range(len(replay.budgets))]
    floor = 0.9 * best * min(curve[0] for seeds in replay.curves.values() for curve in seeds)
    least, middle, most = (list(values) for values in zip(*spreads, strict=True))
    first, last = replay.budgets[0], replay.budgets[-1]
    label = f"Replay of {search} on {replay.case}: {unit} over evaluations, median and spread of {counted(replay.seeds, 'seed')}"
    board = Board(label, (CARD_PX, HEIGHT_PX), left_px=AXIS_LEFT_PX, top_px=6)
    board.span((first, last), (floor, ROOM * best))
    board.columns([first, last], [str(first), counted(last, "evaluation")], grid=False)
    board.heights()
    board.lines([[(first, best), (last, best)]], [f"the table's best, {gflops(best)} {unit}"], stroke="peak", width_px=2.5)
    board.shade(replay.budgets, least, most, fill="ours", opacity=0.2)
    board.lines([list(zip(replay.budgets, middle, strict=True))], stroke="ours", width_px=2)
    told = [
        f"{counted(budget, 'evaluation')}: {gflops(median)} [{gflops(low)}, {gflops(high)}] {unit}"
        for budget, (low, median, high) in zip(replay.budgets, spreads, strict=True)
    ]
    board.dots(replay.budgets, middle, told, fill="ours", opacity=0.75)
    return board.markup()
