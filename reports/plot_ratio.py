"""Ratios to the peers on a logarithmic axis: a dot and its interval a peer, the 3% band shaded, the A/A control beside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.stats import SAME_WITHIN
from reports.board import AXIS_PX, WIDE_PX, Board
from reports.load import Case
from reports.markup import Markup
from reports.plot_rows import GAP_PX, LABEL_PX, name_place, whisker
from reports.wording import counted, peer_names, ratio

ROW_PX = 20
TEXT_PX = 280
"""To the right of the axis, for a row's figures."""
TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 5, 7, 10, 20, 50, 100)
APART = 0.07
"""Share of the axis between two ticks that can both be read."""
MARKS = {"faster": ("good", None, 5.5), "slower": ("bad", None, 5.5), "same": ("card", "soft", 5), "control": ("card", "soft", 3)}
"""Fill, edge and radius of each kind of dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One dot with its interval."""

    case: str
    name: str
    ratio: float
    low: float
    high: float
    text: str
    kind: str
    """``faster``, ``slower``, ``same`` or ``control``."""

    @property
    def told(self) -> str:
        word = "" if self.kind == "control" else f" ({self.kind})"
        return f"{self.case}, {self.name}: {self.text}{word}"


def ratio_plot(cases: Sequence[Case]) -> Markup:
    """Return the plot of the cases that have a ratio to show."""
    shown = [(case.id, rows) for case in cases if (rows := _rows(case))]
    tall = sum(LABEL_PX + len(rows) * ROW_PX + GAP_PX for _, rows in shown)
    peers = peer_names(cases)
    label = f"Ratio to {', '.join(peers)} with 95% intervals, {counted(len(shown), 'case')}; above 1 ours is faster"
    board = Board(label, (WIDE_PX, tall + AXIS_PX), right_px=TEXT_PX)
    ends = [value for _, rows in shown for row in rows for value in (row.low, row.high, row.ratio)]
    left, right = min([0.9, *ends]) * 0.97, max([1.1, *ends]) * 1.03
    board.span((left, right), (tall, 0), logarithmic="x")
    board.columns(_spaced(left, right))
    names, placed, y = [], [], 0.0
    for case_id, rows in shown:
        names.append(name_place(case_id, y))
        placed += [(row, y + LABEL_PX + (index + 0.5) * ROW_PX) for index, row in enumerate(rows)]
        y += LABEL_PX + len(rows) * ROW_PX + GAP_PX
    board.shade([1 / (1 + SAME_WITHIN), 1 + SAME_WITHIN], [0, 0], [tall, tall], fill="band")
    board.lines([[(1, 0), (1, tall)]], stroke="soft", width_px=1)
    for kind, (fill, edge, radius) in MARKS.items():
        alike = [(row, y) for row, y in placed if row.kind == kind]
        board.lines([whisker(row.low, row.high, y) for row, y in alike], stroke=edge or fill, width_px=1.8)
        at = [row.ratio for row, _ in alike], [y for _, y in alike]
        board.dots(*at, [row.told for row, _ in alike], fill=fill, edge=edge, radius_px=radius)
        texts = [row.text if len(peers) == 1 and kind != "control" else f"{row.name} {row.text}" for row, _ in alike]
        board.words([(WIDE_PX, y + 4, text) for (_, y), text in zip(alike, texts, strict=True)], f"value end {kind}")
    board.words(names, "name")
    return board.markup()


def _rows(case: Case) -> list[_Row]:
    """Return the peers that have figures to show, then the A/A control; nothing for a wrong result."""
    peers = [peer for peer in case.peers if case.ok and peer.ok and peer.ratio and peer.ratio > 0]
    rows = [_row(case, peer.name, ratio(peer), peer.ratio, peer.ratio_low, peer.ratio_high) for peer in peers]
    if rows and case.a_a and case.a_a.ratio > 0:
        control = _row(case, "A/A", "", case.a_a.ratio, case.a_a.low, case.a_a.high, kind="control")
        rows.append(control)
    return rows


def _row(case: Case, name: str, text: str, middle: float, low: float | None, high: float | None, kind: str = "") -> _Row:
    """Return a row whose interval a logarithmic axis can show."""
    low, high = (end if end and end > 0 else middle for end in (low, high))
    text = text or f"{middle:.2f} [{low:.2f}, {high:.2f}]"
    return _Row(case=case.id, name=name, ratio=middle, low=low, high=high, text=text, kind=kind or _kind(middle, low, high))


def _kind(middle: float, low: float, high: float) -> str:
    """Return the sort of a dot: faster and slower need 3% and an interval that leaves 1 out."""
    if middle >= 1 + SAME_WITHIN and low > 1:
        return "faster"
    if middle <= 1 / (1 + SAME_WITHIN) and high < 1:
        return "slower"
    return "same"


def _spaced(left: float, right: float) -> list[float]:
    """Return round ratios on the axis, far enough apart to be read; 1 always."""
    kept = [1.0]
    for value in sorted(TICKS, key=lambda tick: abs(math.log(tick))):
        apart = [abs(math.log(value / other)) / math.log(right / left) for other in kept]
        if left <= value <= right and min(apart) > APART:
            kept.append(value)
    return sorted(kept)
