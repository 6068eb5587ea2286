"""
History: a case across runs, with the points where it changed.

Absolute speed drifts with the machine's clock and neighbours, a ratio measured in turns with a peer does not: change
points are looked for in the ratio to the first peer where there is one, else in the share of peak.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np

from harness.record import Record
from harness.stats import SAME_WITHIN, Change, judge_apart
from harness.store import Store
from reports.load import Case, case_of
from reports.reference import difference

LEAST_SIDE = 5
"""Runs on each side of a change point; with fewer the rank test cannot tell it from chance."""
ALPHA = 0.01
PRICE = 2.0
"""Of a stretch, in typical steps from run to run times the logarithm of their number."""
QUIETEST = 0.002
LOOKED_AT = 200
"""Latest runs in which change points are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's measurement of a case."""

    run: str
    created: str
    case: Case
    value: float | None
    """What change points are looked for in; None for a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A case on one machine, target, thread count and clock, oldest run first."""

    case: str
    what: str
    """What the values are: ``ratio to openblas``, ``share of peak`` or ``GFLOP/s``."""
    points: tuple[Point, ...]
    changes: tuple[int, ...]
    """Positions in ``points`` at which a new level begins."""


def load_histories(store: Store, pattern: str = "*") -> list[History]:
    """Return the history of every case that matches, in name order; machines are kept apart."""
    groups: dict[str, list[list[Record]]] = {}
    one = pattern if not set("*?[") & set(pattern) else None
    for record in store.records(kind="measurement", case=one):
        if fnmatchcase(record.case, pattern):
            _place(record, groups.setdefault(record.case, []))
    return [history(group) for case in sorted(groups) for group in groups[case]]


def _place(record: Record, groups: list[list[Record]]) -> None:
    """Put a record beside those it may be compared with."""
    for group in groups:
        if not difference(record, group[-1]) and record.author == group[-1].author:
            if group[-1].run == record.run:
                group.pop()
            group.append(record)
            return
    groups.append([record])


def history(records: Sequence[Record]) -> History:
    """Return the history of comparable records, oldest first."""
    cases = [case_of(record) for record in records]
    what, values = _values(cases)
    points = tuple(
        Point(run=record.run, created=record.created, case=case, value=value)
        for record, case, value in zip(records, cases, values, strict=True)
    )
    known = [index for index, point in enumerate(points) if point.value is not None][-LOOKED_AT:]
    changes = change_points([points[index].value for index in known])
    return History(case=cases[0].id, what=what, points=points, changes=tuple(known[index] for index in changes))


def _values(cases: Sequence[Case]) -> tuple[str, list[float | None]]:
    peer = next((peer.name for case in cases for peer in case.peers if peer.ok and peer.ratio), None)
    if peer is not None:
        ratios = [next((p.ratio for p in case.peers if p.name == peer and p.ok), None) for case in cases]
        return f"ratio to {peer}", _positive(cases, ratios)
    if any(case.peak_fraction for case in cases):
        return "share of peak", _positive(cases, [case.peak_fraction for case in cases])
    return "GFLOP/s", _positive(cases, [case.throughput_gflops for case in cases])


def _positive(cases: Iterable[Case], values: Iterable[float | None]) -> list[float | None]:
    return [value if case.ok and value and value > 0 else None for case, value in zip(cases, values, strict=True)]


def change_points(values: Sequence[float]) -> list[int]:
    """
    Return where a new level begins.

    The stretches are those of least cost (Jackson et al., An algorithm for optimal partitioning, 2005): absolute
    deviations from each stretch's median, and a price for every stretch. A boundary counts if the medians beside it
    differ by 3% and a rank test finds it.
    """
    logs = np.log(np.asarray(values, dtype=float))
    edges = [0, *_partition(logs), len(values)]
    found: list[int] = []
    for place, end in pairwise(edges[1:]):
        start = found[-1] if found else 0
        judged = judge_apart(values[place:end], values[start:place], least_effect=SAME_WITHIN, alpha=ALPHA)
        if judged.change in (Change.FAST, Change.SLOW):
            found.append(place)
    return found


def _partition(logs: np.ndarray) -> list[int]:
    """Return the inner edges of the cheapest stretches of at least `LEAST_SIDE` values."""
    count = len(logs)
    if count < 2 * LEAST_SIDE:
        return []
    noise = max(float(np.median(np.abs(np.diff(logs)))), QUIETEST)
    price = PRICE * noise * np.log(count)
    best = [0.0] + [np.inf] * count
    before = [0] * (count + 1)
    for end in range(LEAST_SIDE, count + 1):
        for start in (0, *range(LEAST_SIDE, end - LEAST_SIDE + 1)):
            cost = best[start] + _deviation(logs[start:end]) + price
            if cost < best[end]:
                best[end], before[end] = cost, start
    edges = []
    while (count := before[count]) > 0:
        edges.append(count)
    return edges[::-1]


def _deviation(values: np.ndarray) -> float:
    return float(np.abs(values - np.median(values)).sum())


def levels(one: History) -> list[tuple[int, int, float]]:
    """Return the stretches between change points: first position, last position, median value."""
    edges = [0, *one.changes, len(one.points)]
    stretches = []
    for start, end in pairwise(edges):
        values = [point.value for point in one.points[start:end] if point.value is not None]
        if values:
            stretches.append((start, end - 1, float(np.median(values))))
    return stretches
