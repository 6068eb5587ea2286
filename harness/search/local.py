"""
Iterated local search from the analytical model's points: the default.

Of several sketches each shows first what a short climb makes of it. First-improvement hill climbing; the neighbours are tried in the order of what their kind of action gained so far, with
a little chance. A climb that ends is kicked: a few tunables of the best candidate are redrawn and it starts again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from harness.kernel import Candidate
from harness.search import Action, Policy, Space
from harness.search.history import Statistics
from harness.search.walk import Questions, Walk

MOVES_TRIED = 12
"""Instruction-order moves tried at one candidate, after every tunable: blocks offer hundreds."""
STALE_KICKS = 20
"""Kicks onto known candidates in a row before a random candidate takes their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """
    What `benchmarks.search_replay` judges with one table left out.

    The defaults were chosen on eight modelled GEMM blockings (10368 points each) and six noisily recorded AVX-512
    ones; over its grid the evaluations to within 3% differ by less than 15%.
    """

    starts: int = 3
    """Starts measured before the climb begins; of several sketches, two each."""
    trial: int = 10
    """Evaluations of the short climb that every one of several sketches gets."""
    hopeless: float = 4.0
    """A sketch whose starts cost this much more than the best is given none."""
    chance: float = 0.01
    """Standard deviation of what is added to an expected gain before neighbours are ordered."""
    kick: tuple[int, ...] = (1, 2)
    """Tunables redrawn by a kick, one of these at random."""


class Local(Walk):
    """Climb from the best start, then kick and climb until the space is exhausted."""

    def __init__(
        self, space: Space, seed: int, policy: Policy | None = None, *, constants: Constants | None = None
    ) -> None:
        super().__init__(space, seed, policy)
        self.constants = constants or Constants()
        self.history = Statistics()
        self._home: Candidate | None = None

    def steps(self) -> Questions[None]:
        """Measure the starts, climb, kick."""
        starts = self.space.starts
        sketches = len({candidate.sketch for candidate in starts})
        for candidate in starts[: max(self.constants.starts, 2 * sketches if sketches > 1 else 0)]:
            yield from self.measure(candidate)
        if sketches > 1:
            yield from self._try_sketches()
        home = self.cheapest(self.costs) or self.unseen()
        while home:
            self._home = None
            yield from self.measure(home)
            yield from self._climb(home)
            home = self._kicked() or self.unseen()

    def _try_sketches(self) -> Questions[None]:
        """Climb a few steps in every sketch that is not out of the question: a first guess does not judge a sketch."""
        homes: dict[str, Candidate] = {}
        for candidate in sorted(self.costs, key=self.cost):
            homes.setdefault(candidate.sketch, candidate)
        limit = self.constants.hopeless * self.cost(self.cheapest(self.costs))
        for home in [home for home in homes.values() if self.cost(home) <= limit]:
            yield from self._climb(home, len(self.costs) + self.constants.trial)

    def _climb(self, home: Candidate, until: float = inf) -> Questions[None]:
        """Move to the first better neighbour until there is none, or ``until`` costs are known."""
        while better := (yield from self._better(home, until)):
            home = better

    def ahead(self) -> Sequence[Candidate]:
        """Return the neighbours of the place where the climb is; of a start or a kick, its own."""
        return self.unknown_around([self._home or self._pending])

    def _better(self, home: Candidate, until: float) -> Questions[Candidate | None]:
        self._home = home
        for action, neighbour in self._ordered_neighbours(home):
            if neighbour not in self.costs:
                if len(self.costs) >= until:
                    return None
                yield from self.measure(neighbour)
                self.history.record(action, self.cost(home), self.cost(neighbour))
            if self.cost(neighbour) < self.cost(home):
                return neighbour
        return None

    def _ordered_neighbours(self, home: Candidate) -> list[tuple[Action, Candidate]]:
        """Return the neighbours, promising steps first, then a sample of the instruction-order moves."""
        neighbours = self.neighbours(home)
        steps = [pair for pair in neighbours if pair[0].move is None]
        moves = [pair for pair in neighbours if pair[0].move is not None]
        expected = {action: self._expected(action) for action, _ in steps}
        steps.sort(key=lambda pair: -expected[pair[0]])
        return steps + self.rng.sample(moves, min(MOVES_TRIED, len(moves)))

    def _expected(self, action: Action) -> float:
        family = action.family
        pooled = self.history.total_gain(family) / (1 + self.history.tried(family))
        return pooled + self.rng.gauss(0, self.constants.chance)

    def _kicked(self) -> Candidate | None:
        if self.best is None:
            return None
        kicks = self.constants.kick
        draws = (self.space.mutate(self.best[0], self.rng, self.rng.choice(kicks)) for _ in range(STALE_KICKS))
        return next((candidate for candidate in draws if candidate not in self.costs), None)


SEARCH = Local
