"""What a search learned of its actions while it ran: steps tried and their gains, pooled by family."""

from collections.abc import Sequence
from math import inf, log

from harness.search import Action, Step

LIMIT = 0.5
"""Gains are cut off here (65% faster, 40% slower): one crash must not bury its family."""


class Statistics:
    """The `History` of one search."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._totals: dict[str, tuple[int, float]] = {}

    def record(self, action: Action, old_s: float, new_s: float) -> Step:
        """Add an action that took a cost of ``old_s`` to ``new_s``, in seconds, and return it with its gain."""
        step = Step(action=action, gain=gain(old_s, new_s))
        count, total = self._totals.get(action.family, (0, 0.0))
        self._steps.append(step)
        self._totals[action.family] = count + 1, total + step.gain
        return step

    def tried(self, family: str) -> int:
        """Return how often actions of a family were tried."""
        return self._totals.get(family, (0, 0.0))[0]

    def total_gain(self, family: str) -> float:
        """Return the sum of their gains."""
        return self._totals.get(family, (0, 0.0))[1]

    def mean_gain(self, family: str) -> float:
        """Return their mean gain, 0 where there was none."""
        return self.total_gain(family) / max(1, self.tried(family))

    def steps(self) -> Sequence[Step]:
        """Return all steps, oldest first."""
        return tuple(self._steps)


def gain(old_s: float, new_s: float) -> float:
    """Return log(old/new) cut off at `LIMIT`; minus `LIMIT` for a failure, 0 for the way out of one."""
    if new_s == inf:
        return -LIMIT
    return 0.0 if old_s == inf else max(-LIMIT, min(LIMIT, log(old_s / new_s)))
