"""
The table at the end of a run: one row a case, in 100 columns of plain ASCII.

Peers that do not fit beside each other get a table of their own below.
"""

import textwrap
from collections.abc import Sequence

from reports.load import Case
from reports.wording import (
    by_clock,
    clock_title,
    has_rivals,
    notes,
    of_peak,
    peer_names,
    reasons,
    throughput,
    times,
    times_best,
)
from reports.wording import residual as residual_text
from reports.wording import verdict as verdict_text

WIDTH = 100
GAP = "  "
LONG_NAME = 36
"""Names longer than this do not keep a peer from the first table."""

Column = list[str]


def terminal_table(cases: Sequence[Case]) -> list[str]:
    """Return the lines of a table for each clock, with its notes and the reasons of what is not OK."""
    lines: list[str] = []
    for clock, group in by_clock(cases).items():
        lines += [*([""] if lines else []), clock_title(clock), ""]
        for index, columns in enumerate(_blocks(group)):
            lines += [*([""] if index else []), *lay_out(columns)]
        lines += ["", *_wrapped(reasons(group)), *_wrapped(notes(group))]
    return lines


def _blocks(cases: Sequence[Case]) -> list[list[Column]]:
    """Return the columns of each table: as many peers as fit in the first, the others after it."""
    names: Column = ["case", *(case.id for case in cases)]
    head = [
        names,
        ["GFLOP/s", *(throughput(case) for case in cases)],
        ["% of peak", *(of_peak(case) for case in cases)],
    ]
    tail = [
        ["residual", *(residual_text(case.residual) for case in cases)],
        ["verdict", *(verdict_text(case) for case in cases)],
    ]
    if has_rivals(cases):
        head.append(["x best", *(times_best(case) for case in cases)])
    peers = [[f"x {name}", *(times(case, name) for case in cases)] for name in peer_names(cases)]
    beside = _fitting([*head, *tail], peers)
    blocks = [[*head, *peers[:beside], *tail]]
    peers = peers[beside:]
    while peers:
        beside = _fitting([names], peers)
        blocks.append([names, *peers[:beside]])
        peers = peers[beside:]
    return blocks


def _fitting(columns: list[Column], more: list[Column]) -> int:
    """Return how many columns of ``more`` fit, one at least; ``columns`` begin with the names."""
    names = min(LONG_NAME, max(map(len, columns[0])))
    room = WIDTH - names - _width(columns[1:])
    return max([count for count in range(1, len(more) + 1) if _width(more[:count]) <= room], default=1)


def _width(columns: list[Column]) -> int:
    return sum(len(GAP) + max(map(len, column)) for column in columns)


def lay_out(columns: list[Column]) -> list[str]:
    """Align names to the left and figures to the right; a name too long for that gets a line of its own."""
    names, figures = columns[0], columns[1:]
    room = max(WIDTH - _width(figures), len(names[0]))
    name_width = max(len(name) for name in names if len(name) <= room)
    widths = [max(map(len, column)) for column in figures]
    lines = []
    for name, *cells in zip(names, *figures, strict=True):
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        if figures[-1][0] == "verdict":
            aligned[-1] = cells[-1]
        if len(name) > room:
            lines.append(name[:WIDTH])
            name = ""
        lines.append(GAP.join([name.ljust(name_width), *aligned])[:WIDTH].rstrip())
    return lines


def _wrapped(sentences: Sequence[str]) -> list[str]:
    return [line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH, subsequent_indent=GAP)]
