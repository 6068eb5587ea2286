"""Search progress: a dot an evaluation, the best so far as a line, failures on the axis, a ring for what was chosen."""

from collections.abc import Sequence

from reports.board import CARD_PX, Board
from reports.load import Evaluation, Search
from reports.markup import Markup
from reports.wording import counted, gflops, parameters

HEIGHT_PX = 210
AXIS_LEFT_PX = 40


def search_plot(search: Search) -> Markup:
    """Return the evaluations of a tuning in order."""
    ran = [e for e in search.evaluations if e.speed is not None]
    failed = [e for e in search.evaluations if e.speed is None]
    first, last = search.evaluations[0].sequence, search.evaluations[-1].sequence
    label = f"Search progress of {search.case}: {counted(len(search.evaluations), 'evaluation')}, speed in {search.unit}"
    board = Board(label, (CARD_PX, HEIGHT_PX), left_px=AXIS_LEFT_PX, top_px=6)
    board.span((first - 0.5, last + 0.5), (0, 1.08 * max((e.speed for e in ran), default=1.0)))
    board.columns([first, last], grid=False)
    board.heights()
    if ran:
        board.lines([_best_so_far(ran, last)], stroke="ours", width_px=2)
    chosen = [e for e in ran if search.winner and e.candidate == search.winner]
    others = [e for e in ran if e not in chosen]
    for evaluations, look in ((others, {"fill": "soft", "radius_px": 2.6, "opacity": 0.55}), (chosen, {"fill": "card", "edge": "ours", "radius_px": 4.5})):
        told = [_told(e, f"{gflops(e.speed)} {search.unit}") for e in evaluations]
        board.dots([e.sequence for e in evaluations], [e.speed for e in evaluations], told, **look)
    board.crosses([e.sequence for e in failed], [0] * len(failed), [_told(e, f"{e.verdict} {e.reason}") for e in failed])
    return board.markup()


def _told(evaluation: Evaluation, result: str) -> str:
    return f"evaluation {evaluation.sequence}: {result} ({parameters(evaluation.candidate)})"


def _best_so_far(ran: Sequence[Evaluation], last: int) -> list[tuple[float, float]]:
    """Return the steps of the best speed."""
    path: list[tuple[float, float]] = []
    for evaluation in ran:
        if not path or evaluation.speed > path[-1][1]:
            path += [(evaluation.sequence, path[-1][1])] if path else []
            path.append((evaluation.sequence, evaluation.speed))
    return [*path, (last, path[-1][1])]
