"""
Count the gate's false alarms and misses on recorded raw samples.

    python -m benchmarks.gate_simulation                 the checked-in recording (benchmarks/gate_samples.py)
    python -m benchmarks.gate_simulation --runs 2000 --cases 36 --planted 1.05

A simulated run gates `--cases` cases. Each measurement of it, the repeated ones included, is a recorded measurement of
that case drawn at random: one side of its A/A pair plays the reference, at random which. The decision is the gate's own
(`reports.gate.judge`), with its default rules. In runs with a planted slowdown one case's samples are multiplied.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from benchmarks.gate_samples import SAMPLES, Measured, load
from harness.compare import CONTROL, OURS, REFERENCE
from harness.record import Outcome, Record, Verdict
from reports.gate import Finding, State, judge
from reports.gate_rules import load_rules
from reports.reference import Reference

OK = Verdict(outcome=Outcome.OK)


def record(measured: Measured, swapped: bool, factor: float) -> Record:
    """Return a recorded A/A pair as the gate sees a measurement, ours slowed down by ``factor``."""
    ours, reference = (CONTROL, OURS) if swapped else (OURS, CONTROL)
    return Record(
        kind="measurement",
        case=measured.case,
        run="new",
        target="host",
        spec={},
        author="expert",
        verdict=OK,
        samples_s=tuple(factor * value for value in measured.seconds[ours]),
        facts={"rounds_s": {REFERENCE: measured.seconds[reference]}, "reference": {"kind": "measurement", "run": "old", "created": ""}},
    )


def reference_of(measured: Sequence[Measured]) -> Reference:
    """Return a reference that knows every case; its own samples are not used, since it takes turns with ours."""
    earlier = {
        one.case: Record(
            kind="measurement",
            case=one.case,
            run="old",
            target="host",
            spec={},
            author="expert",
            verdict=OK,
            samples_s=tuple(one.seconds[OURS]),
        )
        for one in measured
    }
    return Reference(name="old", records=earlier)


class Simulation:
    """Draws runs from a recording."""

    def __init__(self, measured: Sequence[Measured], cases: int, seed: int) -> None:
        self._by_case: dict[str, list[Measured]] = {}
        for one in measured:
            self._by_case.setdefault(one.case, []).append(one)
        self._names = [list(self._by_case)[number % len(self._by_case)] for number in range(cases)]
        self._reference, self._rules, self._random = reference_of(measured), load_rules(), Random(seed)

    def run(self, factor: float) -> list[Finding]:
        """Return the findings of one run; ``factor`` slows the first case down, which one that is rotates."""
        self._names.append(self._names.pop(0))
        return [self._gate(name, factor if index == 0 else 1.0) for index, name in enumerate(self._names)]

    def _gate(self, name: str, factor: float) -> Finding:
        def again() -> Record:
            return record(self._random.choice(self._by_case[name]), self._random.random() < 0.5, factor)

        return judge(again(), self._reference, self._rules, cases=len(self._names), again=again)


def count(runs: int, draw: Callable[[], Sequence[Finding]]) -> tuple[Counter[State], int, int]:
    """Return the states of all gates but the first of each run, the runs with a SLOW among them, and SLOW first ones."""
    states: Counter[State] = Counter()
    alarms = found = 0
    for _ in range(runs):
        first, *others = draw()
        states.update(finding.state for finding in others)
        alarms += any(finding.state is State.SLOW for finding in others)
        found += first.state is State.SLOW
    return states, alarms, found


def main() -> None:
    """Print false alarms per whole run and how often a planted slowdown is found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_simulation", description=__doc__.splitlines()[1])
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=36, help="cases that a run gates")
    parser.add_argument("--planted", type=float, default=1.05, help="factor on the seconds of one case")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    machine, measured = load(options.samples)
    simulation = Simulation(measured, options.cases, options.seed)
    print(f"{len(measured)} recorded measurements of {len({one.case for one in measured})} cases, {machine['cpu']}")
    states, alarms, slow = count(options.runs, lambda: simulation.run(1.0))
    print(f"equal code: {alarms + slow} false alarms in {options.runs} runs of {options.cases} cases")
    print(f"  gates: {', '.join(f'{number} {state}' for state, number in states.most_common())}")
    _, _, found = count(options.runs, lambda: simulation.run(options.planted))
    print(f"planted {options.planted - 1:.0%}: found in {found} of {options.runs} runs")


if __name__ == "__main__":
    main()
