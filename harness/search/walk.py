"""A search written as one generator: it yields what it wants measured and reads the costs it was told."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from math import inf
from random import Random
from typing import TypeVar

from harness.kernel import Candidate
from harness.search import Action, Policy, Space

Answer = TypeVar("Answer")
Questions = Generator[Candidate, None, Answer]
"""Yields candidates to measure, returns an answer drawn from their costs."""


class Walk(ABC):
    """
    Ask and tell around the generator `steps`.

    ``costs`` holds everything told, in seconds and in order; a candidate in it is never asked again.
    """

    def __init__(self, space: Space, seed: int, policy: Policy | None = None) -> None:
        del policy  # only the tree search consults one
        self.space = space
        self.rng = Random(seed)
        self.costs: dict[Candidate, float] = {}
        self._best: Candidate | None = None
        self._order = space.shuffled(Random(seed + 1))
        self._steps = self.steps()
        self._pending: Candidate | None = None
        self._neighbours: dict[Candidate, Sequence[tuple[Action, Candidate]]] = {}

    @abstractmethod
    def steps(self) -> Questions[None]:
        """Yield candidates (through `measure`) until there is nothing left to ask."""

    def ask(self) -> Candidate | None:
        """Return the next candidate, the same one until it is told, or None when none is left."""
        if self._pending is None:
            self._pending = next(self._steps, None)
        return self._pending

    def tell(self, candidate: Candidate, cost_s: float) -> None:
        """Take in a cost in seconds; infinity marks a failure."""
        if not cost_s > 0:
            raise ValueError(f"a cost of {cost_s} s for {candidate.values}: say infinity for a failure")
        self.costs[candidate] = cost_s
        if candidate == self._best or (cost_s < inf and cost_s < self.cost(self._best)):
            self._best = min(self.costs, key=self.cost)
        if candidate == self._pending:
            self._pending = None

    @property
    def best(self) -> tuple[Candidate, float] | None:
        """Return the cheapest candidate told so far and its cost."""
        return None if self.cost(self._best) == inf else (self._best, self.costs[self._best])

    def ahead(self) -> Sequence[Candidate]:
        """Return nothing: where the next question is a matter of chance, no batch can be prepared."""
        return ()

    def unknown_around(self, homes: Iterable[Candidate | None]) -> Sequence[Candidate]:
        """Return the neighbours of some candidates, as far as nothing was told of them."""
        near = dict.fromkeys(step for home in homes if home for _, step in self.neighbours(home))
        return [candidate for candidate in near if candidate not in self.costs]

    def cost(self, candidate: Candidate | None) -> float:
        """Return what was told of a candidate, infinity where nothing was."""
        return self.costs.get(candidate, inf)

    def measure(self, candidate: Candidate) -> Questions[float]:
        """Ask for a candidate unless its cost is known, and return the cost."""
        if candidate not in self.costs:
            yield candidate
        return self.costs[candidate]

    def unseen(self) -> Candidate | None:
        """
        Draw a random candidate that was not told yet; None when the space is exhausted.

        Once every value was asked, what is left are instruction-order moves of the best.
        """
        candidate = next((candidate for candidate in self._order if candidate not in self.costs), None)
        if candidate is None and self.best:
            return next((moved for _, moved in self.neighbours(self.best[0]) if moved not in self.costs), None)
        return candidate

    def neighbours(self, candidate: Candidate) -> Sequence[tuple[Action, Candidate]]:
        """Return the space's neighbours of a candidate, computed once: constraints and moves are formulas to evaluate."""
        if candidate not in self._neighbours:
            self._neighbours[candidate] = self.space.neighbours(candidate)
        return self._neighbours[candidate]

    def cheapest(self, candidates: Iterable[Candidate]) -> Candidate | None:
        """Return the first of the cheapest candidates; None of none."""
        return min(candidates, key=self.cost, default=None)
