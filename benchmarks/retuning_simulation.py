"""
Count the re-tuning gate's false alarms and misses: `python -m benchmarks.retuning_simulation [--runs 400]`.

A simulated run tunes every recorded table (`benchmarks/tables`, costs that were measured) once with each of seven seeds,
as `suites/retuning` does, and so does the run it is held against; each tuning sees costs with a noise of its own, so that
equal tuners end differently. Both are drawn from `--pool` tunings of that table and seed. The winner and its
predecessor then take turns: their ratio is that of their recorded costs times that of an A/A pair drawn from the gate's
recording (`benchmarks/gate_samples.json.gz`). The decision is the gate's own (`reports.gate_seeds.judge_seeds`). For
the misses one case's new operators are slower by `--planted`.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from math import exp
from pathlib import Path
from random import Random
from statistics import median

from benchmarks import finish
from benchmarks.gate_samples import SAMPLES, Measured, load
from benchmarks.tables import Table, load_tables
from harness.compare import CONTROL, OURS, REFERENCE
from harness.record import Outcome, Record, Verdict
from harness.search import search_factory
from reports.gate import Finding, State
from reports.gate_rules import load_rules
from reports.gate_seeds import KIND, judge_seeds

OK = Verdict(outcome=Outcome.OK)
HOST = "host-"


def tuned_s(table: Table, seed: int, evaluations: int, noise: Random, deviation: float) -> float:
    """Return the recorded cost of what a tuning ends with; the search sees every cost with a deviation."""
    search = search_factory()(table.space(), seed, None)
    for _ in range(evaluations):
        candidate = search.ask()
        if candidate is None:
            break
        search.tell(candidate, table.cost_s(candidate) * exp(noise.gauss(0, deviation)))
    return table.cost_s(search.best[0])


class Simulation:
    """Draws runs of the re-tuning suite and judges them."""

    def __init__(self, tables: Sequence[Table], measured: Sequence[Measured], options: argparse.Namespace) -> None:
        self._tables, self._measured, self._seeds = tables, measured, options.seeds
        self._random, self._rules = Random(options.seed), load_rules()
        self._ends_s = {
            (table.case, seed): [tuned_s(table, seed, options.evals, self._random, options.noise) for _ in range(options.pool)]
            for table in tables
            for seed in range(options.seeds)
        }

    def spread(self) -> float:
        """Return the median over tables and seeds of the slowest tuning's end over the fastest one's."""
        return median(max(ends_s) / min(ends_s) for ends_s in self._ends_s.values())

    def run(self, slow: Table | None = None, factor: float = 1.0) -> list[Finding]:
        """Return the findings of one run; in ``slow``, where given, the new operators are slower by a factor."""
        return [self._judged(table, factor if table is slow else 1.0) for table in self._tables]

    def _judged(self, table: Table, factor: float) -> Finding:
        now, before = {}, {}
        for seed in range(self._seeds):
            earlier_s, later_s = self._random.sample(self._ends_s[table.case, seed], 2)
            pair = self._random.choice(self._measured).seconds
            ours, theirs = self._random.sample((OURS, CONTROL), 2)
            before[seed] = _record(table.case, seed, "old", pair[theirs], {})
            rounds = [factor * later_s / earlier_s * value for value in pair[ours]]
            turns = {"rounds_s": {REFERENCE: pair[theirs]}, "reference": {"kind": KIND, "run": "old", "created": ""}}
            now[seed] = _record(table.case, seed, "new", rounds, turns)
        threshold = self._rules.rule(table.case).threshold
        return judge_seeds(table.case, now, before, threshold, len(self._tables))


def _record(case: str, seed: int, run: str, samples_s: Sequence[float], facts: dict) -> Record:
    known = {"search": {"seed": seed}, **facts}
    return Record(
        kind=KIND, case=case, run=run, target="host", spec={}, author="expert", verdict=OK, samples_s=tuple(samples_s), facts=known
    )


def main() -> None:
    """Print false alarms per whole run, and how often a worse tuner is found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retuning_simulation", description=__doc__.splitlines()[1])
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent / "tables")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--evals", type=int, default=60, help="evaluations of a tuning")
    parser.add_argument("--noise", type=float, default=0.015, help="relative deviation of one evaluation")
    parser.add_argument("--planted", type=float, default=1.05, help="factor on one case's new operators")
    parser.add_argument("--pool", type=int, default=12, help="tunings of each table and seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tables = [table for table in load_tables(options.tables) if table.case.startswith(HOST)]
    machine, measured = load(SAMPLES)
    simulation = Simulation(tables, measured, options)
    print(f"{len(tables)} recorded tables, {len(measured)} recorded A/A pairs, {machine['cpu']}; {options.seeds} seeds a case")
    print(f"tunings of one table and seed end {simulation.spread() - 1:.1%} apart at most, the median of all tables and seeds")
    states: Counter[State] = Counter()
    alarms = 0
    for _ in range(options.runs):
        found = simulation.run()
        states.update(one.state for one in found)
        alarms += any(one.state is State.SLOW for one in found)
    cases = ", ".join(f"{count} {state}" for state, count in states.most_common())
    print(f"equal tuners: {alarms} false alarms in {options.runs} runs of {len(tables)} cases ({cases})")
    slow = [tables[turn % len(tables)] for turn in range(options.runs)]
    found = [one for table in slow for one in simulation.run(table, options.planted) if one.case == table.case]
    hits = sum(one.state is State.SLOW for one in found)
    print(f"one case's new operators {options.planted - 1:.0%} slower: found in {hits} of {options.runs} runs")


if __name__ == "__main__":
    finish(main)
