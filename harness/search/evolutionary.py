"""Steady-state evolution: tournament parents, uniform crossing, a mutation or two, the worst dies."""

from heapq import nsmallest

from harness.kernel import Candidate
from harness.search.walk import Questions, Walk

POPULATION = 16
TOURNAMENT = 3
MUTATIONS = (0, 1, 1, 2)
"""Tunables redrawn in a child, one of these at random: 1 on average."""
STALE_CHILDREN = 30
"""Children already known in a row before a random candidate takes their place."""


class Evolutionary(Walk):
    """Begin with the space's starts and random candidates; then breed."""

    def steps(self) -> Questions[None]:
        """Breed until the space is exhausted."""
        for candidate in self.space.starts[: POPULATION // 2]:
            yield from self.measure(candidate)
        while len(self.costs) < POPULATION and (candidate := self.unseen()):
            yield from self.measure(candidate)
        while child := self._child() or self.unseen():
            yield from self.measure(child)

    def _child(self) -> Candidate | None:
        population = nsmallest(POPULATION, self.costs, key=self.cost)
        for _ in range(STALE_CHILDREN if population else 0):
            mother, father = (population[self._winner(len(population))] for _ in range(2))
            child = self.space.cross(mother, father, self.rng)
            if mutations := self.rng.choice(MUTATIONS):
                child = self.space.mutate(child, self.rng, mutations)
            if child not in self.costs:
                return child
        return None

    def _winner(self, size: int) -> int:
        return min(self.rng.randrange(size) for _ in range(TOURNAMENT))


SEARCH = Evolutionary
