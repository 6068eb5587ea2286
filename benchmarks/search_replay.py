"""
Replay every search on recorded tables: how many evaluations until it is within 5%, 3% and 1% of the best?

Run ``python -m benchmarks.search_replay [--tables DIR] [--seeds 200] [--noise 0.015]``.
Evaluations count from the first, start points included; a search that never gets there within the cap counts as the
cap and prints as ``>cap``. With noise a search sees disturbed costs, but what it calls best is judged by the recorded
cost. The same arguments print the same table.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from math import ceil, exp, inf, log
from pathlib import Path
from random import Random

from benchmarks import finish
from benchmarks.tables import Table, load_tables
from generators.policies import POLICIES
from harness.errors import HarnessError
from harness.search import DEFAULT, Search, Space, search_factory
from harness.search.local import Constants, Local

SHARES = (0.05, 0.03, 0.01)
JUDGED = 1
"""Position in `SHARES` of the goal: within 3%."""
GRID = tuple(
    Constants(starts=starts, chance=chance, kick=kick)
    for starts, chance, kick in product((3, 4), (0.003, 0.01, 0.03), ((2, 2, 2, 3), (1, 2)))
)
"""What the default's constants are chosen from when a table is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A search with its policy or constants."""

    label: str
    search: str
    policy: str = ""
    history: bool = True
    constants: Constants | None = None
    """Of the local search; None for those in use."""

    def start(self, space: Space, seed: int) -> Search:
        """Begin a search."""
        if self.constants:
            return Local(space, seed, constants=self.constants)
        policy = POLICIES[self.policy](self.history) if self.policy else None
        return search_factory(self.search)(space, seed, policy)


CONTESTANTS = (
    Contestant(label="uniform", search="uniform"),
    Contestant(label="evolutionary", search="evolutionary"),
    Contestant(label="mcts random", search="mcts", policy="random"),
    Contestant(label="mcts expert, no history", search="mcts", policy="expert", history=False),
    Contestant(label="mcts expert", search="mcts", policy="expert"),
    Contestant(label="local", search="local"),
)

Reached = tuple[int, ...]
"""Evaluations until each of `SHARES` was reached."""
Map = Callable[..., Iterable[Reached]]


def replay(table: Table, contestant: Contestant, cap: int, noise: float, seed: int) -> Reached:
    """Run one search against a table and return when it came within each share of the best."""
    search = contestant.start(table.space(), seed)
    goals_s = [table.best_s * (1 + share) for share in SHARES]
    disturbance = Random(f"{table.case} {seed}")
    reached = [cap] * len(SHARES)
    missing = set(range(len(SHARES)))
    for evaluation in range(1, cap + 1):
        candidate = search.ask()
        if candidate is None or not missing:
            break
        search.tell(candidate, table.cost_s(candidate) * exp(disturbance.gauss(0, noise)))
        best_s = table.cost_s(search.best[0]) if search.best else inf
        for share in [s for s in missing if best_s <= goals_s[s]]:
            reached[share] = evaluation
            missing.discard(share)
    return tuple(reached)


def quantile(values: Iterable[int], share: float) -> int:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def row(label: str, results: Sequence[Reached], cap: int) -> str:
    """Print median/p90 for each share."""
    cells = []
    for share in range(len(SHARES)):
        counts = [reached[share] for reached in results]
        shown = (f">{cap}" if n >= cap else str(n) for n in (quantile(counts, 0.5), quantile(counts, 0.9)))
        cells.append("/".join(shown).rjust(11))
    return f"  {label:<28}{''.join(cells)}"


def mean_log(results: Iterable[Reached]) -> float:
    """Return the mean logarithm of the evaluations to within 3%: what constants are chosen by."""
    logs = [log(reached[JUDGED]) for reached in results]
    return sum(logs) / len(logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One comparison: tables, seeds, cap, noise, and the map that spreads the work."""

    tables: Sequence[Table]
    seeds: int
    cap: int
    noise: float
    map: Map

    def results(self, table: Table, contestant: Contestant, seeds: int | None = None) -> list[Reached]:
        """Replay a contestant on a table with seeds 0, 1, ..."""
        one = partial(replay, table, contestant, self.cap, self.noise)
        return list(self.map(one, range(seeds or self.seeds)))

    def lines(self, contestants: Sequence[Contestant]) -> Iterable[str]:
        """Yield the report line by line."""
        yield f"  {'median/p90 evaluations':<28}" + "".join(f"within {share:.0%}".rjust(11) for share in SHARES)
        pooled: dict[str, list[Reached]] = {contestant.label: [] for contestant in contestants}
        for table in self.tables:
            near = ", ".join(f"{table.within(share)} within {share:.0%}" for share in SHARES)
            yield f"{table.case}: {len(table.costs)} points, {near}"
            for contestant in contestants:
                results = self.results(table, contestant)
                pooled[contestant.label].extend(results)
                yield row(contestant.label, results, self.cap)
        yield f"pooled over {len(self.tables)} tables"
        yield from (row(label, results, self.cap) for label, results in pooled.items())
        if len(self.tables) > 1:
            yield row(f"{DEFAULT}, table left out", self.left_out(), self.cap)

    def left_out(self) -> list[Reached]:
        """Judge on every table the constants that a grid search chose on all the others, with a quarter of the seeds."""
        rivals = [Contestant(label="", search="local", constants=constants) for constants in GRID]
        few = max(1, self.seeds // 4)
        scores = [[mean_log(self.results(table, rival, few)) for table in self.tables] for rival in rivals]
        judged = []
        for left, table in enumerate(self.tables):
            others = [sum(score) - score[left] for score in scores]
            judged.append(self.results(table, rivals[others.index(min(others))]))
        return list(chain.from_iterable(judged))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, print the report, return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.search_replay", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent / "tables", help="folder of *.json.gz")
    parser.add_argument("--seeds", type=int, default=200, help="searches a table")
    parser.add_argument("--noise", type=float, default=0.0, help="relative deviation of a measurement, as 0.015")
    parser.add_argument("--cap", type=int, default=300, help="evaluations after which a search is given up")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(arguments)
    try:
        tables = load_tables(options.tables)
    except HarnessError as reason:
        print(reason, file=sys.stderr)
        return 2
    with ProcessPoolExecutor(options.jobs) as pool:
        spread = partial(pool.map, chunksize=max(1, options.seeds // (4 * options.jobs)))
        comparison = Replay(tables=tables, seeds=options.seeds, cap=options.cap, noise=options.noise, map=spread)
        for line in comparison.lines(CONTESTANTS):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    finish(main)
