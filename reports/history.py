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

LEAST_SIDE = 4
"""Runs on each side of a change point; with fewer the rank test cannot tell it from chance."""
ALPHA = 0.01


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
    known = [index for index, point in enumerate(points) if point.value is not None]
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
    Return where a new level begins, by binary segmentation.

    A stretch is split where the sum of absolute deviations from the two medians is least, if the medians differ by 3%
    and a rank test, corrected for the places tried, finds it; then each part is looked at in the same way.
    """
    found: list[int] = []
    pending = [(0, len(values))]
    while pending:
        start, end = pending.pop()
        split = _split(values[start:end])
        if split is not None:
            found.append(start + split)
            pending += [(start, start + split), (start + split, end)]
    return sorted(found)


def _split(values: Sequence[float]) -> int | None:
    places = range(LEAST_SIDE, len(values) - LEAST_SIDE + 1)
    if not places:
        return None
    logs = np.log(values)
    best = min(places, key=lambda place: _deviation(logs[:place]) + _deviation(logs[place:]))
    judged = judge_apart(values[best:], values[:best], least_effect=SAME_WITHIN, alpha=ALPHA / len(places))
    return best if judged.change in (Change.FAST, Change.SLOW) else None


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
