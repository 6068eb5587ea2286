"""
Race: the leaders of a search take turns, with calls of the whole spec on operands where they will be.

The search may have ranked them on a cut of the spec, where packing pays less and more of the operands stays in caches.
So the best of several ways to work take part, and with them what the author would have chosen without measuring: a
search begins with those points, and a slow minute of a shared machine, which no watch of the core notices, may have
hidden the best of them. Where the spec was cut the race goes on: the fastest is challenged by neighbours with other
blockings (the same kernels, nothing to build) for as long as there is time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from statistics import quantiles

from harness.kernel import Candidate
from harness.measure import SAMPLE_S, SLICE_S, Slices, Watch, interleave, quiet_rounds, slice_seconds
from harness.record import Verdict
from harness.repertoire import Repertoire
from harness.runners.arena import Arena
from harness.runners.protocol import Session, Worker
from harness.verify import timeout_s

LEADERS = 7
WAYS = 3
"""Of how many ways to work the fastest in the ranking takes part, and of how many the author's first guess."""
ROUNDS = 8
SHARE = 0.1
"""Share of the seconds that the heats may take, and again as much for waiting until the core is ours."""
DUEL_ROUNDS = 3
BEHIND = 1.05
"""A challenger whose first call is this much slower than the leader's gets no second."""
AHEAD = 0.99
"""A challenger takes the place of the fastest from here on: two calls of equal code differ by up to 1%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Where and for how long leaders are timed; ``seconds`` is what the whole tuning may use."""

    worker: Worker
    arena: Arena
    repertoire: Repertoire
    watch: Watch | None
    seconds: float

    def run(self, ranking: Sequence[Candidate], costs: Mapping[Candidate, float]) -> list[Candidate]:
        """
        Time the leaders of a ranking and the author's guesses in turn, the better half longer.

        Return all of the ranking and what was raced beside it, the race's order first.
        """
        guesses = [guess for guess in self.repertoire.guesses(ranking[0].sketch) if costs.get(guess, 0) < inf]
        ways = [*self.repertoire.diverse(ranking, WAYS), *self.repertoire.diverse(guesses, WAYS)]
        leaders = list(dict.fromkeys([*ways, *ranking]))[:LEADERS]
        built = {c: item for c, item in zip(leaders, self.repertoire.build(leaders), strict=True) if not isinstance(item, Verdict)}
        sessions = {c.key: self.worker.open(item, self.arena) for c, item in built.items()}
        try:
            rounds = self._rounds(costs[ranking[0]], len(leaders))
            first = self._heat(sessions, {}, rounds)
            ahead = {key: sessions[key] for key in list(first)[: len(leaders) // 2]}
            places = {**self._heat(ahead, first, 2 * rounds), **first}
        finally:
            for session in sessions.values():
                session.close()
        placed = sorted((c for c in leaders if c.key in places), key=lambda c: list(places).index(c.key))
        return placed + [candidate for candidate in ranking if candidate not in placed]

    def climb(self, leader: Candidate, seed: int, time_left: Callable[[], bool], report: Callable[[], None]) -> Candidate:
        """Let neighbours with other blockings challenge the leader while there is time; return who is ahead."""
        rng, known = Random(seed), {leader}
        while time_left():
            near = [near for near in self.repertoire.blockings(leader) if near not in known]
            for challenger in rng.sample(near, len(near)):
                if not time_left():
                    return leader
                known.add(challenger)
                report()
                if self._beats(challenger, leader):
                    leader = challenger
                    break
            else:
                return leader
        return leader

    def _beats(self, challenger: Candidate, leader: Candidate) -> bool:
        """Return whether a challenger is ahead after a duel; one that is far behind at its first call gets no second."""
        objects = self.repertoire.build([challenger, leader])
        sessions = [self.worker.open(item, self.arena) for item in objects]
        try:
            paces = [inf, inf]
            for turn in range(DUEL_ROUNDS):
                paces = [min(pace, self._call_s(session)) for pace, session in zip(paces, sessions, strict=True)]
                if turn == 0 and paces[0] > BEHIND * paces[1]:
                    return False
        finally:
            for session in sessions:
                session.close()
        return paces[0] < AHEAD * paces[1]

    def _call_s(self, session: Session) -> float:
        """Return the seconds of one slice, a single call where those are long; infinity where it failed."""
        if self.watch:
            self.watch.wait(SHARE * self.seconds / 10)
        limit_s = timeout_s(self.arena.spec)
        timing = session.time(timeout_s=limit_s, samples=1000, sample_s=SAMPLE_S, budget_s=SLICE_S, warm=0)
        return slice_seconds(timing)[0] if timing else inf

    def _rounds(self, call_s: float, leaders: int) -> int:
        """Return how many rounds the first heat has; the second has as many slices, for half the leaders."""
        slice_s = max(SLICE_S, call_s)
        return max(2, min(ROUNDS, int(SHARE * self.seconds / (4 * leaders * slice_s))))

    def _heat(self, sessions: Mapping[str, Session], before: Mapping[str, Slices], rounds: int) -> dict[str, Slices]:
        """Time some leaders in turn and return all their slices so far, the fastest leader first."""
        taken = interleave(
            sessions,
            rounds=rounds,
            timeout_s=timeout_s(self.arena.spec),
            watch=self.watch,
            patience_s=SHARE * self.seconds / 2,
        )
        every = {key: before[key] + slices if key in before else slices for key, slices in taken.items()}
        return dict(sorted(every.items(), key=lambda pair: _pace_s(pair[1])))


def _pace_s(slices: Slices) -> float:
    """Return the lower quartile of a contender's quiet slices (of all where none was quiet); of a few, the least."""
    seconds = slices.only(quiet_rounds({"": slices}) or range(len(slices.seconds))).seconds
    return quantiles(seconds, n=4)[0] if len(seconds) > 3 else min(seconds)
