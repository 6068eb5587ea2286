"""Searches replayed on a recorded table: what each had found after so many evaluations, by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.record import Record
from harness.store import Store
from reports.load import clean, number

REPLAY = "replay"
"""Kind of the records that `suites/paper/test_fig3b.py` makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """All searches of one table, on equal budgets."""

    case: str
    note: str
    modelled: bool
    points: int
    """Of the table."""
    best_gflops: float | None
    """The table's best; None in records of before it was kept."""
    budgets: tuple[int, ...]
    """Evaluations at which the curves were looked at, ascending."""
    curves: Mapping[str, tuple[tuple[float, ...], ...]]
    """By search, a curve a seed: the share of the table's best speed at each budget."""

    @property
    def seeds(self) -> int:
        """Return how many seeds every search had."""
        return min(map(len, self.curves.values()))

    def spread(self, search: str, place: int) -> tuple[float, float, float]:
        """Return least, median and most over the seeds at a budget."""
        shares = [curve[place] for curve in self.curves[search]]
        return min(shares), median(shares), max(shares)


def load_replays(store: Store, run: str | None = None) -> list[Replay]:
    """Return the latest replay of each table, of one run or of all; what cannot be read as one is left out."""
    latest = {record.case: record for record in store.records(kind=REPLAY, run=run)}
    return [replay for record in latest.values() if (replay := replay_of(record))]


def replay_of(record: Record) -> Replay | None:
    """Return a record as a replay; None where its facts are not what the figure's test writes."""
    facts = record.facts
    budgets, curves = facts.get("budgets"), facts.get("best_share")
    if not _ascending(budgets) or not isinstance(curves, Mapping) or not curves:
        return None
    if not all(_curves(seeds, len(budgets)) for seeds in curves.values()):
        return None
    return Replay(
        case=clean(record.case),
        note=clean(facts.get("note") or ""),
        modelled=record.target != "host",
        points=int(number(facts, "points") or 0),
        best_gflops=number(facts, "best_gflops"),
        budgets=tuple(budgets),
        curves={clean(label): tuple(map(tuple, seeds)) for label, seeds in curves.items()},
    )


def _ascending(budgets: Any) -> bool:
    numbers = isinstance(budgets, Sequence) and len(budgets) > 1 and all(isinstance(one, int) and one > 0 for one in budgets)
    return numbers and list(budgets) == sorted(set(budgets))


def _curves(seeds: Any, length: int) -> bool:
    return bool(seeds) and all(len(curve) == length and all(0 <= share <= 1 for share in curve) for curve in seeds)
