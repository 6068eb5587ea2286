"""
Iterated local search from the analytical model's points.

First-improvement hill climbing in random neighbour order; a climb that ends is kicked: a few tunables of the best
candidate are redrawn and the climb starts again from there.
"""

from itertools import islice

from harness.kernel import Candidate
from harness.search.walk import Questions, Walk

STARTS = 4
"""Starts measured before the climb begins."""
MOVES_TRIED = 12
"""Instruction-order moves tried at one candidate, after every tunable: blocks offer hundreds."""
KICK = (2, 2, 2, 3)
"""Tunables redrawn by a kick, one of these at random."""
STALE_KICKS = 20
"""Kicks onto known candidates in a row before a random candidate takes their place."""


class Local(Walk):
    """Climb from the best start, then kick and climb until the space is exhausted."""

    def steps(self) -> Questions[None]:
        """Measure the starts, climb, kick."""
        for candidate in islice(self.space.starts, STARTS):
            yield from self.measure(candidate)
        home = self.cheapest(self.costs) or self.unseen()
        while home:
            yield from self.measure(home)
            yield from self.climb(home)
            home = self._kicked() or self.unseen()

    def climb(self, home: Candidate) -> Questions[Candidate]:
        """Move to the first better neighbour until there is none; return where the climb ended."""
        while True:
            for neighbour in self._shuffled_neighbours(home):
                if (yield from self.measure(neighbour)) < self.cost(home):
                    home = neighbour
                    break
            else:
                return home

    def _shuffled_neighbours(self, home: Candidate) -> list[Candidate]:
        neighbours = self.space.neighbours(home)
        steps = [candidate for action, candidate in neighbours if action.move is None]
        moved = [candidate for action, candidate in neighbours if action.move is not None]
        self.rng.shuffle(steps)
        return steps + self.rng.sample(moved, min(MOVES_TRIED, len(moved)))

    def _kicked(self) -> Candidate | None:
        if self.best is None:
            return None
        draws = (self.space.mutate(self.best[0], self.rng, self.rng.choice(KICK)) for _ in range(STALE_KICKS))
        return next((candidate for candidate in draws if candidate not in self.costs), None)


SEARCH = Local
